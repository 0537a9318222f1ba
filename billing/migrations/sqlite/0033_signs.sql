-- Extensions that have signed in to a group or out of it: what the group's own list of members says of them does not count. `number`: the
-- group's; `present`: 1 in, 0 out; `crmid`: what the merchant said with it.
CREATE TABLE group_signs (
  number    TEXT   NOT NULL,
  extension TEXT   NOT NULL,
  present   BIGINT NOT NULL,
  crmid     TEXT   NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (number, extension)
);
