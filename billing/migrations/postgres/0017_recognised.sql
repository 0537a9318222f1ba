-- What was heard of a leg's network before the answer (facts::recognition::Sounded::word); NULL: nothing.
ALTER TABLE cdrs ADD COLUMN recognised TEXT;
