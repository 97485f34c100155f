/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots (rules R1-R3, R5, V5, I6; mm/root.c, mm/view.c): a list of reference-counted roots of
 * two views, changed under one lock by a manager that drops and makes them, a vCPU that moves
 * from a root that became invalid to its successor, the lazy freer, and two iterations whose
 * bodies let the lock go. Not the tables below a root, and no EPTP switching. The idea: a root
 * is a life (numbered, used once) in a place (a structure, used again), so a stale pointer
 * that finds another root in its place is seen.
 *
 *     head <-> place 0 <-> place 2 <-> head     last put: invalid, dying, on the list, the
 *                                               freer's; the freer: emptied in slices, off
 *
 * What must hold is asserted where it could break first:
 *   handed_life    the root that an iteration stands on is the one it was given, on the list
 *   visited        no root is met twice; at the end of a walk all that are listed were met
 *   refcount       never taken up from 0, never dropped below, not 0 on the list
 *   listed         a root that still has tables is on the list (V5)
 *   valid          a valid root is its view's; an invalid one is neither entered nor handed
 *                  out where valid ones are asked for
 *   in_view        a walk of one view meets no root of another
 *   life[0]        of the places: at the very end none is in use
 *
 * configuration:
 * configuration LONG: -DLIVES=5
 * mutation NO_REFERENCE: handed_life
 * mutation NO_REFERENCE_IN_VIEW: handed_life
 * mutation FREER_IGNORES_REFERENCES: handed_life
 * mutation NO_REFERENCE_FOR_FREER: refcount
 * mutation UNLINK_AT_LAST_PUT: listed
 * mutation NEXT_BEFORE_BODY: visited
 * mutation ADD_AT_HEAD: visited
 * mutation RESTART_WALK: visited
 * mutation EARLY_EXIT_KEEPS: life[0]
 * mutation ENTER_INVALID: valid
 * mutation DROPPED_STAYS_VALID: valid
 * mutation INVALID_IS_HANDED_OUT: valid
 * mutation OTHER_VIEW_IS_HANDED_OUT: in_view
 */
#define PLACES 3
#define HEAD PLACES
#define NONE 7
#define VIEWS 2
#ifndef LIVES
#define LIVES 4 /* how many roots are ever made */
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* of the manager */
#endif

byte next[PLACES + 1], previous[PLACES + 1];
byte refcount[PLACES];
byte life[PLACES + 1];
byte in_view[PLACES];
bool valid[PLACES], listed[PLACES], dying[PLACES];
bool filled[PLACES]; /* it has tables */
byte lives = 0;
byte view_root[VIEWS]; /* holds a reference; NONE */
bool locked = false;
byte walkers = 3; /* iterations and the vCPU, while they run */
bool manager_done = false;

#define used(r) (life[r] > 0)
#ifdef NO_REFERENCE
#define takes_reference false
#elif defined(NO_REFERENCE_IN_VIEW)
#define takes_reference (!one_view)
#else
#define takes_reference true
#endif
#ifdef INVALID_IS_HANDED_OUT
#define is_valid(r) true
#else
#define is_valid(r) valid[r]
#endif
#ifdef OTHER_VIEW_IS_HANDED_OUT
#define is_in_view(r, v) true
#else
#define is_in_view(r, v) (in_view[r] == (v))
#endif

inline lock() { atomic { !locked -> locked = true } }

inline check_root(r)
{
	assert(!listed[r] || refcount[r] > 0);
	assert(!filled[r] || listed[r]);
	assert(!valid[r] || view_root[in_view[r]] == r)
}

inline unlock()
{
	atomic {
		check_root(0);
		check_root(1);
		check_root(2);
		locked = false
	}
}

inline get(r)
{
	d_step { assert(refcount[r] > 0); refcount[r]++ }
}

inline unlink(r)
{
	next[previous[r]] = next[r];
	previous[next[r]] = previous[r];
	listed[r] = false
}

/* root_put(): the last reference becomes the freer's. */
inline put(r)
{
	d_step {
		assert(refcount[r] > 0);
		refcount[r]--;
		if
		:: refcount[r] == 0 && !dying[r] ->
			valid[r] = false;
			dying[r] = true;
#ifndef NO_REFERENCE_FOR_FREER
			refcount[r] = 1;
#endif
#ifdef UNLINK_AT_LAST_PUT
			unlink(r)
#endif
		:: else
		fi
	}
}

#define can_create (lives < LIVES && !(used(0) && used(1) && used(2)))

/* A new root for a view that has none, with the view's reference, at the tail. */
inline create(v)
{
	d_step {
		made = (!used(0) -> 0 : (!used(1) -> 1 : 2));
		lives++;
		life[made] = lives;
		in_view[made] = v;
		valid[made] = true;
		refcount[made] = 1;
		listed[made] = true;
		filled[made] = true; /* the first fault's doing */
#ifdef ADD_AT_HEAD
		next[made] = next[HEAD];
		previous[made] = HEAD;
#else
		next[made] = HEAD;
		previous[made] = previous[HEAD];
#endif
		next[previous[made]] = made;
		previous[next[made]] = made;
		view_root[v] = made;
		made = 0
	}
}

/* root_next(): from `at` (NONE: from the start) to the next, or to HEAD. */
inline step()
{
	if
	:: at == NONE -> to = next[HEAD]
#ifdef NEXT_BEFORE_BODY
	:: else -> to = cached
#elif defined(RESTART_WALK)
	:: else -> to = next[HEAD]
#else
	:: else -> to = next[at]
#endif
	fi;
	if
	:: to != HEAD ->
		assert(listed[to]);
		if
		:: takes_reference -> get(to)
		:: else
		fi
	:: else
	fi;
	if
	:: at != NONE && takes_reference -> put(at)
	:: else
	fi;
	d_step { at = to; to = 0 }
}

/* root_next_in(), of the valid ones. */
inline step_in(v)
{
	do
	:: step();
		if
		:: at == HEAD || (is_in_view(at, v) && is_valid(at)) -> break
		:: else
		fi
	od
}

inline check_visited(r)
{
	assert(!listed[r] || visited[life[r]])
}

/* Walks all roots, or the valid ones of view 0; lets the lock go at each; may leave early. */
proctype iteration(bool one_view)
{
	byte at = NONE, to, cached, handed_life;
	bool visited[LIVES + 1];

	lock();
	do
	:: if
		:: one_view -> step_in(0)
		:: !one_view -> step()
		fi;
		if
		:: at == HEAD -> break
		:: else
		fi;
		d_step {
			handed_life = life[at];
#ifdef NEXT_BEFORE_BODY
			cached = next[at];
#endif
			assert(!visited[handed_life]);
			visited[handed_life] = true;
			assert(!one_view || in_view[at] == 0);
			assert(!one_view || valid[at])
		}
		unlock();
		/* The body, without the lock: whatever others do, the root stays what it is. */
		assert(life[at] == handed_life && listed[at]);
		lock()
	:: at != NONE ->
		/* An early exit. */
#ifndef EARLY_EXIT_KEEPS
		if
		:: takes_reference -> put(at)
		:: else
		fi;
#endif
		break
	od;
	if
	:: !one_view && at == HEAD ->
		d_step { check_visited(0); check_visited(1); check_visited(2) }
	:: else
	fi;
	unlock();
	walkers--
}

/* mmu_vcpu_root() before each entry; a root that became invalid is left there (R5). */
proctype vcpu()
{
	byte root = NONE, made;

	do
	:: lock();
		if
#ifndef ENTER_INVALID
		:: root != NONE && !valid[root] -> put(root); root = NONE
#endif
		:: else
		fi;
		if
		:: root == NONE ->
			if
			:: view_root[0] == NONE && can_create -> create(0)
			:: else
			fi;
			if
			:: view_root[0] != NONE -> get(view_root[0]); root = view_root[0]
			:: else
			fi
		:: else
		fi;
		assert(root == NONE || valid[root]);
		unlock();
		/* In guest mode the tables are there, valid or not. */
		assert(root == NONE || (listed[root] && refcount[root] > 0))
	:: manager_done -> break
	od;
	lock();
	if
	:: root != NONE -> put(root)
	:: else
	fi;
	unlock();
	walkers--
}

/* drop_root(): a view's root becomes invalid, and the view gives its reference up. */
inline drop(v)
{
	if
	:: view_root[v] != NONE ->
#ifndef DROPPED_STAYS_VALID
		valid[view_root[v]] = false;
#endif
		put(view_root[v]);
		view_root[v] = NONE
	:: else
	fi
}

/* mmu_zap_all() (R5), the destruction of view 1, and roots asked for by others. */
proctype manager()
{
	byte made, rounds = 0;

	do
	:: rounds < ROUNDS ->
		lock();
		drop(1);
		if
		:: true -> drop(0)
		:: true
		fi;
		if
		:: view_root[1] == NONE && can_create -> create(1)
		:: view_root[0] == NONE && can_create -> create(0)
		:: true
		fi;
		unlock();
		rounds++
	:: else -> break
	od;
	manager_done = true;
	/* The end of the partition. */
	walkers == 0;
	lock();
	drop(0);
	drop(1);
	unlock()
}

#ifdef FREER_IGNORES_REFERENCES
#define is_freers(r) dying[r]
#else
#define is_freers(r) (dying[r] && refcount[r] <= 1)
#endif

/* root_free_some(): a slice of the first dying root, or its end. */
inline free_some()
{
	d_step {
		which = (is_freers(0) -> 0 : (is_freers(1) -> 1 : 2));
		if
		:: filled[which] -> filled[which] = false
		:: else ->
			unlink(which);
			refcount[which] = 0;
			dying[which] = false;
			life[which] = 0
		fi;
		which = 0
	}
}

/* mmu_work(). A place is then used again by another root. */
proctype freer()
{
	byte which;

end:	do
	:: atomic { (is_freers(0) || is_freers(1) || is_freers(2)) && !locked -> locked = true };
		free_some();
		unlock()
	:: timeout ->
		/* Nobody can do anything more: nothing is left. */
		assert(!used(0) && !used(1) && !used(2));
		assert(next[HEAD] == HEAD && previous[HEAD] == HEAD);
		break
	od
}

init {
	byte made;

	atomic {
		next[HEAD] = HEAD;
		previous[HEAD] = HEAD;
		view_root[0] = NONE;
		view_root[1] = NONE;
		create(0);
		run iteration(false);
		run iteration(true);
		run vcpu();
		run manager();
		run freer()
	}
}
