//! What this machine offers to the probes: facts for `skep doctor`.
