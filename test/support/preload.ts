// `bun --no-orphans` ends the tests' children with them, and hands that on to every program made with Bun, ours too: there
// it would end processes that must outlive a killed run.
delete process.env['BUN_FEATURE_FLAG_NO_ORPHANS']
