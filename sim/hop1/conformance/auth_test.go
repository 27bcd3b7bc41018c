package conformance

// authChecks are those of who may subscribe. There are none yet: the servers admit everybody.
var authChecks []check
