CREATE ROLE ada LOGIN IN ROLE polygent_manager, polygent_key_admin;
CREATE ROLE grace LOGIN IN ROLE polygent_issuer;
CREATE ROLE ivy LOGIN IN ROLE polygent_auditor;
