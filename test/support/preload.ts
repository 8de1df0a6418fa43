// `bun --no-orphans` ends the tests' children with them, and hands that on to every program made with Bun, ours too: there
// it would end what is to outlive a run that is killed.
delete process.env['BUN_FEATURE_FLAG_NO_ORPHANS']
