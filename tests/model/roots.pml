/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots (mmu-contract.md, R1-R3, R5, I6): a list of reference-counted roots, changed under
 * one lock by a manager that makes and invalidates them, a vCPU that moves from a root that
 * became invalid to its successor, and two iterators whose bodies drop the lock. Not the
 * tables below a root. The idea: a root is a life (numbered, used once) in a place (a
 * structure, used again), so a stale pointer that finds another root in its place is seen.
 *
 *     head <-> place 0 <-> place 2 <-> head      dead: off the list, for the freer
 *
 * What must hold is asserted where it could break first:
 *   handed_life    the root that an iterator stands on is the one it was given, and on the list
 *   visited        no root is met twice; at the end of a walk all that are listed were met
 *   refcount       never taken up from 0, never dropped below; at the very end none is left
 *   listed         what is unlinked was on the list, and is off it when the lock is released
 *
 * mutation NO_REFERENCE: handed_life
 * mutation NO_REFERENCE_VALID_ONLY: handed_life
 * mutation PUT_BEFORE_NEXT: listed
 * mutation NEXT_BEFORE_BODY: visited
 * mutation ADD_AT_HEAD: visited
 * mutation UNLINK_LATE: refcount
 * mutation EARLY_EXIT_KEEPS: used
 * mutation ENTER_INVALID: valid
 * mutation INVALID_IS_HANDED_OUT: valid
 * mutation RESTART_WALK: visited
 */
#define PLACES 3
#define HEAD PLACES
#define NONE 255
#define LIVES 4 /* how many roots are ever made */

byte next[PLACES + 1], previous[PLACES + 1];
byte refcount[PLACES];
byte life[PLACES + 1];
bool valid[PLACES], used[PLACES], listed[PLACES], dead[PLACES];
byte lives = 0;
byte view_root = NONE; /* holds a reference */
bool locked = false;
byte walkers = 3; /* iterators and the vCPU, while they run */
bool manager_done = false;

#if defined(NO_REFERENCE)
#define takes_reference(valid_only) (valid_only)
#elif defined(NO_REFERENCE_VALID_ONLY)
#define takes_reference(valid_only) (!(valid_only))
#else
#define takes_reference(valid_only) true
#endif
#ifdef INVALID_IS_HANDED_OUT
#define skips_invalid false
#else
#define skips_invalid true
#endif

inline lock() { atomic { !locked -> locked = true } }

/* R1, I6: what is on the list when the lock is released has a reference. */
inline unlock()
{
	atomic {
		assert(!listed[0] || refcount[0] > 0);
		assert(!listed[1] || refcount[1] > 0);
		assert(!listed[2] || refcount[2] > 0);
		locked = false
	}
}

inline get(r)
{
	d_step { assert(refcount[r] > 0); refcount[r]++ }
}

/* The last reference takes the root off the list before the lock goes; the freer has it then. */
inline put(r)
{
	d_step { assert(refcount[r] > 0); refcount[r]-- }
	if
	:: refcount[r] == 0 ->
#ifdef UNLINK_LATE
		locked = false;
		lock();
#endif
		d_step {
			assert(listed[r]);
			next[previous[r]] = next[r];
			previous[next[r]] = previous[r];
			listed[r] = false;
			dead[r] = true
		}
	:: else
	fi
}

#define can_create (lives < LIVES && !(used[0] && used[1] && used[2]))

/* A new root for the view, with the view's reference, at the tail. */
inline create()
{
	if
	:: !used[0] -> made = 0
	:: used[0] && !used[1] -> made = 1
	:: used[0] && used[1] && !used[2] -> made = 2
	fi;
	d_step {
		lives++;
		used[made] = true;
		valid[made] = true;
		life[made] = lives;
		refcount[made] = 1;
		listed[made] = true;
#ifdef ADD_AT_HEAD
		next[made] = next[HEAD];
		previous[made] = HEAD;
#else
		next[made] = HEAD;
		previous[made] = previous[HEAD];
#endif
		next[previous[made]] = made;
		previous[next[made]] = made;
		view_root = made;
		made = NONE
	}
}

/*
 * One step of an iterator, in place `at` (NONE: before the first). The new reference comes
 * before the old one goes, because dropping it may unlink the root whose link is followed.
 */
inline step(valid_only)
{
	if
	:: at == NONE -> to = next[HEAD]
#ifdef NEXT_BEFORE_BODY
	:: else -> to = cached
#elif defined(RESTART_WALK)
	:: else -> to = next[HEAD]
#else
	:: else ->
#ifdef PUT_BEFORE_NEXT
		put(at);
#endif
		assert(listed[at]);
		to = next[at]
#endif
	fi;
	do
	:: valid_only && to != HEAD && !valid[to] -> to = next[to]
	:: else -> break
	od;
	if
	:: to != HEAD ->
		assert(listed[to]);
		if
		:: takes_reference(valid_only) -> get(to)
		:: else
		fi
	:: else
	fi;
#ifndef PUT_BEFORE_NEXT
	if
	:: at != NONE && takes_reference(valid_only) -> put(at)
	:: else
	fi;
#endif
	d_step {
		at = to;
		to = 0;
		handed_life = (at == HEAD -> 0 : life[at]);
#ifdef NEXT_BEFORE_BODY
		cached = next[at]
#endif
	}
}

inline check_all_visited(r)
{
	assert(!listed[r] || visited[life[r]])
}

/* Walks all roots, or the valid ones, and drops the lock at each; may leave early. */
proctype iterator(bool valid_only)
{
	byte at = NONE, to, cached, handed_life;
	bool visited[LIVES + 1];

	lock();
	do
	:: step(valid_only && skips_invalid);
		if
		:: at == HEAD -> break
		:: else
		fi;
		d_step {
			assert(!visited[handed_life]);
			visited[handed_life] = true;
			assert(!valid_only || valid[at])
		}
		unlock();
		/* The body, without the lock: whatever others do, the root stays what it is. */
		assert(life[at] == handed_life && listed[at]);
		lock()
	:: at != NONE ->
		/* An early exit. */
#ifndef EARLY_EXIT_KEEPS
		if
		:: takes_reference(valid_only) -> put(at)
		:: else
		fi;
#endif
		break
	od;
	if
	:: !valid_only && at == HEAD ->
		d_step {
			check_all_visited(0);
			check_all_visited(1);
			check_all_visited(2)
		}
	:: else
	fi;
	unlock();
	walkers--
}

/* In and out of guest mode; a root that became invalid is left at the next entry (R5). */
proctype vcpu()
{
	byte root = NONE;
	byte made = NONE;

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
			:: view_root == NONE && can_create -> create()
			:: else
			fi;
			if
			:: view_root != NONE -> get(view_root); root = view_root
			:: else
			fi
		:: else
		fi;
		assert(root == NONE || valid[root]);
		unlock();
		/* In guest mode the tables are there, invalid or not. */
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

/* R5: all roots become invalid at once and the view gives its reference up. */
proctype manager()
{
	byte made = NONE;
	byte rounds = 0;

	do
	:: rounds < 2 ->
		lock();
		if
		:: view_root != NONE ->
			d_step {
				valid[0] = false;
				valid[1] = false;
				valid[2] = false
			}
			put(view_root);
			view_root = NONE
		:: else
		fi;
		if
		:: can_create -> create()
		:: true
		fi;
		unlock();
		rounds++
	:: else -> break
	od;
	lock();
	if
	:: view_root != NONE -> put(view_root); view_root = NONE
	:: else
	fi;
	manager_done = true;
	unlock();
	/* The vCPU may have made one more. */
	walkers == 0;
	lock();
	if
	:: view_root != NONE -> put(view_root); view_root = NONE
	:: else
	fi;
	unlock()
}

inline free(r)
{
	d_step {
		assert(!listed[r] && refcount[r] == 0);
		dead[r] = false;
		used[r] = false;
		life[r] = 0
	}
}

/* Frees dead roots in slices; a place is then used again by another root. */
proctype freer()
{
end:	do
	:: atomic { dead[0] && !locked -> locked = true }; free(0); unlock()
	:: atomic { dead[1] && !locked -> locked = true }; free(1); unlock()
	:: atomic { dead[2] && !locked -> locked = true }; free(2); unlock()
	:: timeout ->
		/* Nobody can do anything more: nothing is left. */
		assert(!used[0] && !used[1] && !used[2]);
		assert(next[HEAD] == HEAD && previous[HEAD] == HEAD);
		break
	od
}

init {
	byte made = NONE;

	atomic {
		next[HEAD] = HEAD;
		previous[HEAD] = HEAD;
		create();
		run iterator(false);
		run iterator(true);
		run vcpu();
		run manager();
		run freer()
	}
}
