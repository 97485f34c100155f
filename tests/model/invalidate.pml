/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidation and live slots (mmu-contract.md, V1-V5, I6, I7, I10): vCPUs that fault without
 * a lock until the last moment, against a manager that takes pages away, gives them back,
 * makes all roots invalid, deletes the slot and makes a new one. One gfn of one slot, two
 * roots, three frames. Not the install itself (install.pml) and not the lock's fairness.
 *
 *     vCPU     read section ( seq -> slots -> backing -> lock shared ( recheck, install ) )
 *     remove   lock ( begin, zap, flush )  lock ( backing away )  lock ( end )  wait  release
 *     delete   publish INVALID  wait  lock ( zap, flush )  publish without  wait  free, release
 *
 * The idea: a frame is "released" at the instant when somebody else may have it. From then on
 * no SPTE, no TLB and no host pointer reaches it; a slot array is "freed" likewise. A TLB
 * holds a translation until a flush, whatever the tables say meanwhile.
 *
 *   released        no use of a released frame, and no SPTE or TLB has one when it goes
 *   freed           no read of a freed slot array
 *   valid           no SPTE goes into an invalid root
 *   spte            a present leaf is not changed to another frame in one step
 *
 * mutation NO_WAIT: released
 * mutation NO_WAIT_TO_FREE: freed
 * mutation NO_WAIT_AFTER_REMOVAL: released
 * mutation NO_INVALID_MARK: released
 * mutation NO_RECHECK: released
 * mutation NO_IN_PROGRESS: released
 * mutation NO_RANGE_UNION: released
 * mutation SEQ_EARLY: released
 * mutation SEQ_LATE_SAMPLE: released
 * mutation NO_FLUSH: released
 * mutation FLUSH_BEFORE_ZAP: released
 * mutation ONLY_VALID_ROOTS: released
 * mutation NO_ROOT_RECHECK: valid
 * mutation NO_READ_FENCE: freed
 * mutation EPOCH_BEFORE_PUBLISH: freed
 */
#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef CHANGES
#define CHANGES 2 /* how many the manager makes; each is any of its kinds */
#endif

#define NONE 0 /* no frame, no translation; frames count from 1 */
#define FRAMES 2
#define ROOTS 2
#define ARRAYS 3

/* The slot array: what a reader finds in it. `freed` arrays are used again by the manager. */
mtype = { ABSENT, PRESENT, INVALID };
mtype array_slot[ARRAYS];
bool freed[ARRAYS];
byte published = 0;

/* The epochs of V4: 0 outside of a read section. */
byte epoch = 1;
byte reading[VCPUS];

/* V1, V2. The page's own gfn is 0; another invalidation, of gfn 1, comes and goes. */
byte seq = 0;
byte in_progress = 0;
bool covers_0 = false; /* the recorded range has gfn 0 in it */

byte backing = 1; /* the frame behind the gfn, or NONE: absent */
bool released[FRAMES + 1];

byte spte[ROOTS];
bool valid[ROOTS];
byte current = 0; /* the view's root */

byte tlb[VCPUS];
byte root[VCPUS];

bool writer = false;
byte readers = 0;

inline lock_shared() { atomic { !writer -> readers++ } }
inline unlock_shared() { readers-- }
inline lock() { atomic { !writer && readers == 0 -> writer = true } }
inline unlock() { writer = false }

inline read_begin()
{
#ifdef NO_READ_FENCE
	/* The store of `reading` is still on its way when the array's address is loaded. */
	mine = epoch;
	slots = published;
	reading[me] = mine;
	mine = 0
#else
	mine = epoch;
	d_step { reading[me] = mine; mine = 0 }
	slots = published
#endif
}

inline read_end()
{
	d_step { reading[me] = 0; slots = 0; found = 0; frame = NONE; sample = 0 }
}

#define seq_is_same (seq == sample)
#define is_in_progress (in_progress > 0 && covers_0)
#define root_is_valid (valid[root[me]])
#ifdef NO_RECHECK
#undef seq_is_same
#define seq_is_same true
#endif
#ifdef NO_IN_PROGRESS
#undef is_in_progress
#define is_in_progress false
#endif
#ifdef NO_ROOT_RECHECK
#undef root_is_valid
#define root_is_valid true
#endif

proctype vcpu(byte me)
{
	byte mine, slots, frame, sample;
	mtype found;

end:	do
	:: /* Out of guest mode, for a fault. */
#ifndef SEQ_LATE_SAMPLE
		sample = seq;
#endif
		read_begin();
		d_step { assert(!freed[slots]); found = array_slot[slots] }
		if
		:: found == PRESENT -> frame = backing
		:: else
		fi;
#ifdef SEQ_LATE_SAMPLE
		sample = seq;
#endif
		if
		:: frame == NONE /* MMIO, absent, or a slot on its way out: no SPTE */
		:: frame != NONE ->
			/* mmu_guest_ptr(): a host pointer is good until the section ends. */
			assert(!released[frame]);
		:: frame != NONE ->
			lock_shared();
			/* The slot is looked at again: rights, alignment. */
			assert(!freed[slots]);
			if
			:: seq_is_same && !is_in_progress && root_is_valid ->
				d_step {
					assert(valid[root[me]]);
					assert(!released[frame]);
					assert(spte[root[me]] == NONE || spte[root[me]] == frame);
					spte[root[me]] = frame
				}
			:: else
			fi;
			unlock_shared()
		fi;
		read_end()
	:: /* The entry: a root that is not the view's any more is left. */
		lock_shared();
		root[me] = current;
		unlock_shared()
	:: /* In guest mode: the CPU walks, or uses what it has. */
		d_step {
			tlb[me] == NONE && spte[root[me]] != NONE -> tlb[me] = spte[root[me]]
		}
	:: d_step { tlb[me] != NONE -> assert(!released[tlb[me]]) }
	od
}

inline publish(slot)
{
	d_step {
		to = (freed[0] -> 0 : (freed[1] -> 1 : 2));
		assert(freed[to]);
		freed[to] = false;
		array_slot[to] = slot;
		old = published
	}
#ifdef EPOCH_BEFORE_PUBLISH
	epoch++;
#endif
	published = to;
	to = 0
}

inline retire(array) { freed[array] = true; array_slot[array] = ABSENT }

/* V4: every vCPU is outside, or began after what was published before this. */
inline wait()
{
#ifndef EPOCH_BEFORE_PUBLISH
	epoch++;
#endif
	reading[0] == 0 || reading[0] >= epoch;
#if VCPUS > 1
	reading[1] == 0 || reading[1] >= epoch
#endif
}

/* Under the lock. The invalid roots too: a vCPU may still be in one (V5). */
inline zap()
{
	d_step {
#ifdef ONLY_VALID_ROOTS
		if
		:: valid[0] -> spte[0] = NONE
		:: else
		fi;
		if
		:: valid[1] -> spte[1] = NONE
		:: else
		fi
#else
		spte[0] = NONE;
		spte[1] = NONE
#endif
	}
}

inline flush()
{
#ifndef NO_FLUSH
	tlb[0] = NONE;
#if VCPUS > 1
	tlb[1] = NONE
#endif
#else
	skip
#endif
}

inline zap_and_flush()
{
#ifdef FLUSH_BEFORE_ZAP
	flush();
	zap()
#else
	zap();
	flush()
#endif
}

/* I10: from here on the frame is somebody else's. */
inline release(f)
{
	d_step {
		assert(!released[f]);
		released[f] = true;
		assert(spte[0] != f && spte[1] != f);
		assert(tlb[0] != f);
#if VCPUS > 1
		assert(tlb[1] != f)
#endif
	}
}

inline begin(has_0)
{
	lock();
	d_step {
		in_progress++;
#ifdef NO_RANGE_UNION
		covers_0 = has_0;
#else
		covers_0 = covers_0 || has_0;
#endif
#ifdef SEQ_EARLY
		seq++
#endif
	}
	unlock()
}

inline end_()
{
	lock();
	d_step {
#ifndef SEQ_EARLY
		seq++;
#endif
		in_progress--;
		covers_0 = covers_0 && in_progress > 0
	}
	unlock()
}

inline remove_page()
{
	begin(true);
	lock();
	zap_and_flush();
	unlock();
	d_step { gone = backing; backing = NONE }
	end_();
#ifndef NO_WAIT_AFTER_REMOVAL
	wait();
#endif
	release(gone);
	gone = NONE
}

/* A fresh frame where none is; nothing maps the gfn, so nothing is zapped. */
inline insert_page()
{
	d_step {
		if
		:: released[1] -> released[1] = false; backing = 1
		:: else -> released[2] = false; backing = 2
		fi
	}
}

inline delete_slot()
{
#ifndef NO_INVALID_MARK
	publish(INVALID);
#else
	old = published;
#endif
#ifndef NO_WAIT
	wait();
#endif
	first = old;
	lock();
	zap_and_flush();
	unlock();
	publish(ABSENT);
#ifndef NO_WAIT_TO_FREE
	wait();
#endif
	d_step { retire(old); retire(first); first = 0 }
	d_step { gone = backing; backing = NONE }
	if
	:: gone != NONE -> release(gone); gone = NONE
	:: else
	fi
}

/* A slot where none is, with a frame of its own; in an array that nobody has seen. */
inline create_slot()
{
	insert_page();
	publish(PRESENT);
	wait();
	retire(old)
}

/* R5: the other place becomes the view's root; the old one is invalid, and may be in use. */
inline zap_all()
{
	lock();
	d_step { valid[current] = false; current = 1; valid[1] = true }
	unlock()
}

proctype manager()
{
	byte changes = 0;
	byte to, old, first, gone;

	do
	:: changes < CHANGES ->
		if
		:: array_slot[published] == PRESENT && backing != NONE -> remove_page()
		:: array_slot[published] == PRESENT && backing == NONE -> insert_page()
		:: array_slot[published] == PRESENT -> delete_slot()
		:: array_slot[published] == ABSENT -> create_slot()
		:: current == 0 -> zap_all()
		fi;
		d_step { changes++; old = 0 }
	:: else -> break
	od
}

/* Another invalidation that overlaps in time, of a gfn that is not ours. */
proctype neighbour()
{
	begin(false);
	end_()
}

init {
	d_step {
		array_slot[0] = PRESENT;
		array_slot[1] = ABSENT;
		array_slot[2] = ABSENT;
		freed[1] = true;
		freed[2] = true;
		released[2] = true;
		valid[0] = true
	}
	atomic {
		run manager();
		run neighbour();
		run vcpu(0);
#if VCPUS > 1
		run vcpu(1)
#endif
	}
}
