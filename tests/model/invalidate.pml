/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Invalidation and live slots (rules V1, V2, V4, V5, I6, I7, I10; mm/invalidate.c, mm/slots.c,
 * mm/pages.c, mm/fault_plain.c, the lookup of mm/fault.c): vCPUs that fault, the plain way with
 * the lock held shared, or without it until the last moment, against a manager that takes the page away, gives one back, makes all roots
 * invalid, deletes the slot and makes a new one. One gfn of one slot, two roots, two frames.
 * Not the install itself (install.pml), not large pages, not the lock's fairness.
 *
 *     plain    lock shared ( in progress? slots, backing, install )
 *     vCPU     read section ( seq  slots  backing . lock shared ( recheck, install ) )
 *     remove   lock ( begin )  lock ( zap )  backing away . lock ( flush, end )  wait  release
 *     delete   publish INVALID  wait, free  lock ( zap, flush )  publish without  wait, free
 *
 * mm/pages.c does a removal with the lock held once for all of it, which is one of the ways
 * this can go; callers of mmu_invalidate_begin() and mmu_unmap() have the others.
 *
 * The idea: a frame is "released" at the instant when somebody else may have it. From then on
 * no SPTE, no TLB and no host pointer reaches it; a slot array is "freed" likewise. A TLB
 * holds a translation until a flush, whatever the tables say meanwhile.
 *
 *   released        no use of a released frame, and no SPTE or TLB has one when it goes
 *   freed           no read of a freed slot array
 *   valid           no SPTE goes into an invalid root, and none is entered
 *   spte            a present leaf is not changed to another frame in one step (I15)
 *
 * configuration: -DCHANGES=3
 * configuration LONG: -DCHANGES=4
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
 * mutation ENTER_INVALID: valid
 * mutation PLAIN_UNLOCKED: released
 * mutation PLAIN_NO_IN_PROGRESS: released
 * mutation PLAIN_NO_ROOT_CHECK: valid
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

/* V2: before slot and backing are read. */
inline take_seq()
{
#ifndef SEQ_LATE_SAMPLE
	sample = seq
#else
	skip
#endif
}

inline read_begin()
{
#ifdef NO_READ_FENCE
	/* The store of `reading` is still on its way when the array's address is loaded. */
	mine = epoch;
	take_seq();
	slots = published;
	d_step { reading[me] = mine; mine = 0 }
#else
	mine = epoch;
	d_step { reading[me] = mine; mine = 0 }
	take_seq();
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

#ifdef ENTER_INVALID
#define is_left(r) false
#else
#define is_left(r) (r != current)
#endif

#define plain_allowed (in_progress == 0)
#define plain_root (valid[root[me]])
#ifdef PLAIN_NO_IN_PROGRESS
#undef plain_allowed
#define plain_allowed true
#endif
#ifdef PLAIN_NO_ROOT_CHECK
#undef plain_root
#define plain_root true
#endif

inline install()
{
	d_step {
		assert(valid[root[me]]);
		assert(!released[frame]);
		assert(spte[root[me]] == NONE || spte[root[me]] == frame);
		spte[root[me]] = frame
	}
}

proctype vcpu(byte me)
{
	byte mine, slots, frame, sample;
	mtype found;

end:	do
	:: /* Out of guest mode, for a fault. */
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
				install()
			:: else
			fi;
			unlock_shared()
		fi;
		read_end()
	:: /* The same, of the plain kind; what it cannot do is left to the other. */
#ifndef PLAIN_UNLOCKED
		lock_shared();
#endif
		if
		:: plain_allowed && plain_root ->
			d_step { assert(!freed[published]); found = array_slot[published] }
			d_step { frame = (found == PRESENT -> backing : NONE) }
			if
			:: frame != NONE -> install()
			:: else
			fi
		:: else
		fi;
#ifndef PLAIN_UNLOCKED
		unlock_shared();
#endif
		d_step { found = 0; frame = NONE }
	:: /* The entry: a root that is not the view's any more is left. */
		lock();
		if
		:: is_left(root[me]) -> root[me] = current
		:: else
		fi;
		assert(valid[root[me]]);
		unlock()
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
	d_step { published = to; to = 0 }
}

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

/* I10: from here on the frame is somebody else's. */
inline release(f)
{
	assert(!released[f]);
	released[f] = true;
	assert(!released[spte[0]] && !released[spte[1]]);
	assert(!released[tlb[0]]);
#if VCPUS > 1
	assert(!released[tlb[1]])
#endif
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

inline end_of_it()
{
	d_step {
#ifndef SEQ_EARLY
		seq++;
#endif
		in_progress--;
		covers_0 = covers_0 && in_progress > 0
	}
}

inline end_()
{
	lock();
	end_of_it();
	unlock()
}

inline remove_page()
{
	begin(true);
	lock();
#ifdef FLUSH_BEFORE_ZAP
	flush();
#endif
	zap();
	unlock();
	d_step { gone = backing; backing = NONE }
	lock();
#ifndef FLUSH_BEFORE_ZAP
	flush();
#endif
	end_of_it();
	unlock();
#ifndef NO_WAIT_AFTER_REMOVAL
	wait();
#endif
	d_step { release(gone); gone = NONE }
}

/* A fresh frame: the one that is somebody else's until now. */
inline take_frame()
{
	d_step {
		if
		:: released[1] -> released[1] = false; backing = 1
		:: else -> released[2] = false; backing = 2
		fi
	}
}

inline insert_page()
{
	begin(true);
	take_frame();
	end_()
}

/* The arrays go after the wait that follows their successor's publication. */
inline wait_and_retire(array)
{
	wait();
	d_step { freed[array] = true; array_slot[array] = ABSENT; array = 0 }
}

inline delete_slot()
{
#ifdef NO_INVALID_MARK
	wait();
#else
	lock();
	publish(INVALID);
	unlock();
#ifdef NO_WAIT
	first = old;
#else
	wait_and_retire(old);
#endif
#endif
	lock();
	zap();
	flush();
	publish(ABSENT);
	unlock();
#ifdef NO_WAIT_TO_FREE
	d_step { freed[old] = true; array_slot[old] = ABSENT; old = 0 }
#else
	wait_and_retire(old);
#endif
#ifdef NO_WAIT
	d_step { freed[first] = true; array_slot[first] = ABSENT; first = 0 }
#endif
	d_step { gone = backing; backing = NONE }
	if
	:: gone != NONE -> d_step { release(gone); gone = NONE }
	:: else
	fi
}

/* A slot where none is, with a frame of its own; in an array that nobody has seen. */
inline create_slot()
{
	take_frame();
	lock();
	publish(PRESENT);
	unlock();
	wait_and_retire(old)
}

/* R5: the other place becomes the view's root; the old one is invalid, and may be in use. */
inline zap_all()
{
	lock();
	d_step { valid[current] = false; current = 1; valid[1] = true };
	unlock()
}

proctype manager()
{
	byte changes = 0;
	byte to, old, gone;
#ifdef NO_WAIT
	byte first;
#endif

	do
	:: changes < CHANGES ->
		if
		:: array_slot[published] == PRESENT && backing != NONE -> remove_page()
		:: array_slot[published] == PRESENT && backing == NONE -> insert_page()
		:: array_slot[published] == PRESENT -> delete_slot()
		:: array_slot[published] == ABSENT -> create_slot()
		:: current == 0 -> zap_all()
		fi;
		changes++
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
