//! To be written: see the commits that follow.
