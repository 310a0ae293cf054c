"""A small server with the product's license pages, to try a license as the customer will.

It is an example for integrators of `polygent_issuer.enforcement`: `LicenseMiddleware` handles every
request first, and the server checks its license once a minute. Two parts do not exist in a product:
the control strip, which changes the clock and other conditions, and the page of API responses.

The sandbox opens no private key and no registry. All of its state is in a temporary folder.
"""
