-- Companies of system 002 may ask: what they are called, the language they are answered in (NULL: their merchant's), where they
-- may ask from, until when (milliseconds; NULL: without end), and what for (no module: for everything).
ALTER TABLE companies ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE companies ADD COLUMN language TEXT;
ALTER TABLE companies ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]';
ALTER TABLE companies ADD COLUMN expires BIGINT;
ALTER TABLE companies ADD COLUMN modules TEXT NOT NULL DEFAULT '[]';
CREATE INDEX companies_by_appid ON companies (appid);

-- The token of a company that is logged in. The token itself is not kept: it follows from the company's accesskey and `nonce`.
-- `digest` finds the row (SHA-256, hex).
CREATE TABLE company_tokens (
  companycode TEXT   NOT NULL PRIMARY KEY REFERENCES companies (companycode) ON DELETE CASCADE,
  nonce       TEXT   NOT NULL,
  digest      TEXT   NOT NULL UNIQUE,
  expires     BIGINT NOT NULL
);
