"""A small server with the product's license pages, to try a license as the customer will.

It is built on `polygent_issuer.enforcement` as an integrator would build it, and shows how the
pieces go together:

- `site`      what a server is made of besides HTTP: clock, machine, users, hosts, mails
- `sessions`  who is signed in
- `guard`     what every request passes first: Host, size, same site, headers
- `api`       the endpoints, behind `LicenseMiddleware`
- `pages`     the pages of the product
- `controls`  the strip with which one moves the clock and everything else
- `probe`     what the API answers to any route, asked of the app itself
- `server`    the loopback socket and the web server

It opens no key and no registry. All of its state is in a throw-away folder.
"""
