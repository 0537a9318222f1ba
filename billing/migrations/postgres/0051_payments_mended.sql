-- Payments of menus, mended.

-- `kind`: the gateway's when the way was begun. `lease`: until when it is asked after by the process of number `holder`.
-- `late`: it was given up, and whoever paid by it came back all the same: it is asked after
-- beside the invoice's own way. `taking`: when it was last asked whether it was paid at a gateway where to ask is to take,
-- as long as it is not known what came of that; else 0.
ALTER TABLE ussd_attempts ADD COLUMN kind TEXT NOT NULL DEFAULT 'test';
ALTER TABLE ussd_attempts ADD COLUMN lease BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ussd_attempts ADD COLUMN holder BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ussd_attempts ADD COLUMN late BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ussd_attempts ADD COLUMN taking BIGINT NOT NULL DEFAULT 0;
DROP INDEX ussd_attempts_one;
CREATE UNIQUE INDEX ussd_attempts_one ON ussd_attempts (invoice_id) WHERE state = 'pending' AND late = 0;
-- Of a gateway that is gone nothing is asked any more; one for tests has left its button behind.
UPDATE ussd_attempts SET kind = COALESCE(
  (SELECT g.kind FROM payment_gateways g WHERE g.name = ussd_attempts.gateway),
  CASE WHEN rrn IS NULL THEN 'zarinpal' ELSE 'test' END);
CREATE INDEX ussd_attempts_odd ON ussd_attempts (invoice_id) WHERE state = 'odd';

-- What was paid without money is not what a merchant is due.
UPDATE ussd_entries SET account = 'trial:' || substr(account, 10)
  WHERE account LIKE 'merchant:%' AND invoice_id IN
    (SELECT a.invoice_id FROM ussd_attempts a WHERE a.state = 'paid' AND a.kind = 'test');

-- Each time that the money of an invoice is to go back. `no`: counted from 1 for each invoice. `reference`: by which
-- the gateway knows it, where it has not decided yet.
CREATE TABLE ussd_refunds (
  invoice_id BIGINT NOT NULL REFERENCES ussd_invoices (id),
  no         BIGINT NOT NULL,
  by_hand    BIGINT NOT NULL,
  state      TEXT   NOT NULL CONSTRAINT ussd_refunds_state CHECK (state IN ('pending', 'done', 'refused')),
  said       TEXT   NOT NULL DEFAULT '',
  reference  TEXT   NOT NULL DEFAULT '',
  made       BIGINT NOT NULL,
  due        BIGINT NOT NULL,
  lease      BIGINT NOT NULL DEFAULT 0,
  holder     BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT ussd_refunds_pkey PRIMARY KEY (invoice_id, no)
);
CREATE UNIQUE INDEX ussd_refunds_one ON ussd_refunds (invoice_id) WHERE state = 'pending';
CREATE INDEX ussd_refunds_due ON ussd_refunds (due) WHERE state = 'pending';
INSERT INTO ussd_refunds (invoice_id, no, by_hand, state, made, due)
  SELECT id, refunds, 0,
    CASE state WHEN 'refunding' THEN 'pending' WHEN 'refunded' THEN 'done' ELSE 'refused' END,
    COALESCE(closed, made), COALESCE(closed, made)
  FROM ussd_invoices WHERE refunds > 0;
DROP INDEX ussd_invoices_refunding;

-- What GetPayments is asked by.
CREATE INDEX ussd_invoices_paid ON ussd_invoices (merchant_id, id) WHERE state = 'paid';
CREATE INDEX ussd_invoices_by_code ON ussd_invoices (merchant_id, code, id);
CREATE INDEX ussd_invoices_by_session ON ussd_invoices (merchant_id, session);
CREATE INDEX ussd_invoices_by_factor ON ussd_invoices (merchant_id, factor);
CREATE INDEX ussd_invoices_by_mobile ON ussd_invoices (merchant_id, mobile, id);
CREATE INDEX ussd_invoices_by_rials ON ussd_invoices (merchant_id, rials);
CREATE INDEX ussd_invoices_by_closed ON ussd_invoices (merchant_id, closed);
CREATE INDEX ussd_invoices_by_rrn ON ussd_invoices (merchant_id, rrn) WHERE rrn IS NOT NULL;
CREATE INDEX ussd_invoices_by_reference ON ussd_invoices (merchant_id, reference) WHERE reference IS NOT NULL;
