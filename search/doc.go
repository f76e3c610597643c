// Package search is a full-text index over runs: every action, thought and
// observation of many runs, ours and those that MLGym published, and a list of
// the runs with what people sort and filter them by.
//
// The index is a cache. The files of the runs stay the truth: [Index.Update]
// looks at them and reads again what changed, and whoever removes the index
// loses nothing but the seconds that it takes to build it anew. An index that
// another version of mlgym made, or that is damaged, is thrown away.
//
// # What people type
//
// [Query].Text is never wrong; the most that can happen is that nothing is
// found. Upper and lower case are the same.
//
//	learning rate     steps with both words
//	"learning rate"   with these words one after the other, any white space between
//	optim*            with a word that begins so
//	-error            without this word; also -"out of memory"
//	adam OR sgd       with either; OR joins its two neighbours only
//	./train.py        with exactly this; so np.random, --epochs, x!=y, loss=0.5
//
// A word is a run of letters and digits, or a number with its decimal point;
// each sign of Chinese or Japanese is one by itself. What is asked for begins
// and ends where words do: rate finds neither rates nor 0.5 the number 0.55.
// Terms with anything else in them are found through their words and then
// compared with the text itself, sign by sign.
//
// # Several processes
//
// Any number of processes may use one index at once. One at a time brings it up
// to date, the others wait for their turn; asking needs no turn.
//
// All methods of [Index] may be called from several goroutines at once.
package search
