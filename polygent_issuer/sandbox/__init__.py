"""A small server with the product's license pages, to try a license as the customer will.

It is built on `polygent_issuer.enforcement` as an integrator would build it, and shows how the
pieces go together:

- `site`         what a server is made of besides HTTP: license, clock, machine, host name; with
  `population` (users and agents' hosts), `mails` (the 09:00 alerts), `pretended` (what is moved)
- `application`  the app: `LicenseMiddleware` before everything
- `api`, `pages` the endpoints and the pages of the product, `signed_in` who asks for them
- `minutes`      what a server does by itself: one look at the license a minute
- `guard`        what every request passes first: Host, same site, access, size, headers
- `access`       the one-time token in the printed address, and the cookie that it becomes
- `forms`        what a page sends
- `failures`     what is answered when something fails
- `throw_away`   the folder for all of its state
- `server`       the loopback socket and the web server

What no product has: `controls`, the strip with which one moves the clock and everything else;
`answers` and `probe`, what the API answers to any request.

It opens no key and no registry. All of its state is in a throw-away folder.
"""
