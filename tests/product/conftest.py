"""The product with one and with four workers, and a node of it for each test."""

from collections.abc import Iterator

import pytest
from support.product import Node, Product, product


@pytest.fixture(scope="session", params=[1, 4], ids=["one-worker", "four-workers"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """The product, with as many worker processes at one socket."""
    with product(tmp_path_factory.mktemp("product"), request.param) as running:
        yield running


@pytest.fixture
def node(served: Product) -> Iterator[Node]:
    """A machine with the product, without a license, an hour after the issuer's first file."""
    with served.node() as made:
        yield made
