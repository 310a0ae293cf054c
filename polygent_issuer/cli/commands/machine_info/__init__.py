"""`polygent-issue machine-info`: the document that names a customer's machine."""
