-- Limits against toll fraud of merchants, sub-accounts and extensions (facts::fraud::FraudLimits; '{}': none),
-- and the numbers that a merchant's calls show (facts::pool::Pool; '': none), each as one JSON object.
ALTER TABLE merchants ADD COLUMN fraud TEXT NOT NULL DEFAULT '{}';
ALTER TABLE merchants ADD COLUMN pool TEXT NOT NULL DEFAULT '';
ALTER TABLE sub_accounts ADD COLUMN fraud TEXT NOT NULL DEFAULT '{}';
ALTER TABLE extensions ADD COLUMN fraud TEXT NOT NULL DEFAULT '{}';

-- Whose sums a hold counts against: the keys of spending.scope, parted by blanks; NULL is nobody's.
ALTER TABLE holds ADD COLUMN counted TEXT;

-- What those spend whose spending is limited: holds by the five minutes in which they were made (at: when those
-- begin), less what went back of them.
CREATE TABLE spending (
  scope  TEXT   NOT NULL,
  at     BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  CONSTRAINT spending_once PRIMARY KEY (scope, at)
) WITHOUT ROWID;

-- Where those have called whose new destinations are limited, by the first digits, and since when.
CREATE TABLE destinations (
  scope  TEXT   NOT NULL,
  prefix TEXT   NOT NULL,
  since  BIGINT NOT NULL,
  CONSTRAINT destinations_once PRIMARY KEY (scope, prefix)
) WITHOUT ROWID;
