//! The ledger's arithmetic.
