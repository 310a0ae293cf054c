"""A worker of a real server that is killed with kill -9, with agents connected to it."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.lic_files import license_id
from support.product import product, worker_of
from support.waiting import eventually

from polygent_issuer.verifier import Limits

LIMITS = Limits(users=1, session_hosts=6, deploy_hosts=1)


@pytest.mark.slow
def test_a_killed_worker_gives_its_hosts_back(tmp_path: Path) -> None:
    """The server replaces it; license, log and the hosts of the other workers stay.

    Its hosts reconnect at once, since they still count, and those that do not are given back within
    a minute.
    """
    with product(tmp_path, 4) as server, server.node() as node, ExitStack() as agents:
        node.install(0, fingerprint=None, limits=LIMITS)
        workers = {
            name: worker_of(agents.enter_context(node.agent("session", name))) for name in "abcdef"
        }
        victim = workers["a"]
        left = [name for name, worker in workers.items() if name == "a" or worker != victim]
        log = node.status()["installLog"]

        os.kill(victim, signal.SIGKILL)
        server.workers.pop(victim).close()
        with node.agent("session", "a"):
            assert node.refused("/api/agents/session?host=g")[1] == "host_limit"
            server.find_workers()
            assert victim not in server.workers
            assert eventually(lambda: node.status()["sessionHosts"]["connected"] == len(left))
        status = node.status()
        assert (status["licenseId"], status["installLog"]) == (license_id(0), log)
