// Package pool keeps sandboxes ready for the episodes to come.
//
// A sandbox takes tens of milliseconds to make, and an episode is to begin at
// once. So a [Pool] keeps some ready for each key (a task in a variant, say),
// and makes another behind the scenes for each that is claimed. Claiming takes
// one that is ready or says that there is none; it never waits for one to be
// made.
//
// A pool takes what is left over: of the builders, which are few; of the time,
// since while claims come and there is something for the next one, nothing is
// made; of the memory, of which it leaves a reserve.
//
// What a pool held ends with its process, however that ends: the drivers see to
// it. What a crash left of other things, [Reconcile] removes.
package pool
