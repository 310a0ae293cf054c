"""A small server with the product's license pages, to try a license as the customer will.

It is built on `polygent_issuer.enforcement` as an integrator would build it, and shows how the
pieces go together: the app has `LicenseMiddleware` before everything, and the server looks at its
license once a minute. What no product has: the control strip, which changes the clock and
everything else, and the page that shows what the API answers to any request.

It opens no key and no registry. All of its state is in a throw-away folder.
"""
