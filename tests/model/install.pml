/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parallel faults (rules I1, I5, I14; mm/table.c, mm/fault.c, mm/fault_plain.c, the heads of
 * mm/rmap.c): three
 * vCPUs fill gfns with the lock held shared, two of them in one view and the third, of one gfn
 * only, in another, while a zapper takes it exclusively. Tables of level 1 come with their
 * first leaf and go with their last, and a vCPU remembers the last one. Not which frame is
 * mapped (invalidate.pml), no large leaves, no more rights for a leaf that is there; of the
 * reverse map a head for each gfn, without their tree.
 *
 *     leaf     freeze by compare and swap, rmap add, count, publish
 *     head     by compare and swap while it is empty, else under its lock bit
 *     table    freeze the link, fill a page that nobody sees with its first leaf, publish
 *     else     who meets FROZEN or loses the swap tries again; who fails puts EMPTY back
 *
 * The idea: FROZEN is the right to write an SPTE while others may look at it. Whoever did not
 * make it has none, and the holder of the exclusive lock never meets it.
 *
 *   entry       each present leaf is in its rmap exactly once, at every instant that a CPU
 *               can see it; with the lock held exclusively nothing else is in there
 *   count       a table's count is the number of its leaves, and not 0 when it is linked
 *   !=5         no holder of the exclusive lock meets FROZEN, whose number that is
 *   state       a table page is linked or free; a leaf goes into a linked one
 *   role        a leaf goes into a table of its own view
 *
 * configuration:
 * configuration LONG: -DGFNS=3
 * mutation NO_FREEZE: entry
 * mutation CAS_NOT_ASKED: entry
 * mutation FROZEN_IS_FREE: entry
 * mutation NO_HEAD_BIT: entry
 * mutation CAS_ON_LOCKED_HEAD: entry
 * mutation COUNT_NOT_ATOMIC -DGFNS=3: count
 * mutation PUBLISH_FIRST: entry
 * mutation ZAP_SHARED: state
 * mutation ZAP_KEEPS_ENTRY: entry
 * mutation ZAP_KEEPS_TABLE: count
 * mutation FAILURE_STAYS_FROZEN: !=5
 * mutation FAILURE_KEEPS_PAGE: state
 * mutation LINK_NOT_FROZEN: state
 * mutation LINK_FIRST: state
 * mutation LAST_TABLE_STATE: state
 * mutation LAST_TABLE_ROLE: role
 */
mtype = { EMPTY, FROZEN, PRESENT, FREE, UNLINKED, LINKED };

#define VIEWS 2
#ifndef GFNS
#define GFNS 2
#endif
#define PAGES 3 /* one more than can be linked */
#define CHAIN 3

mtype link[VIEWS];
byte linked[VIEWS]; /* the page behind a PRESENT link */

/* Table pages and their headers; leaf g of page p is at LEAF(p, g). */
#define LEAF(p, g) leaf[(p) * GFNS + (g)]
mtype leaf[PAGES * GFNS];
byte count[PAGES];
mtype state[PAGES];
bit role[PAGES]; /* its view */

/* A head for each gfn: who is in it (page + 1; a gfn has one SPTE in a page), and its bit. */
#define ENTRY(g, i) entry[(g) * CHAIN + (i)]
byte entry[GFNS * CHAIN];
byte entries[GFNS];
bool held[GFNS];

#define times_in_rmap(p, g) \
	((ENTRY(g, 0) == (p) + 1) + (ENTRY(g, 1) == (p) + 1) + (ENTRY(g, 2) == (p) + 1))

bool writer = false;
byte readers = 0;

inline lock_shared() { atomic { !writer -> readers++ } }
inline unlock_shared() { readers-- }
inline lock() { atomic { !writer && readers == 0 -> writer = true } }
inline unlock() { writer = false }

/* won: the SPTE was EMPTY, is FROZEN, and is the caller's. */
inline freeze(place)
{
	d_step {
		won = (place == EMPTY);
		if
		:: won -> place = FROZEN
		:: else
		fi;
#ifdef CAS_NOT_ASKED
		won = true
#endif
	}
}

#ifdef NO_HEAD_BIT
#define head_is_free(g) true
#else
#define head_is_free(g) (!held[g])
#endif
#ifdef CAS_ON_LOCKED_HEAD
#define head_is_empty(g) (entries[g] == 0)
#else
#define head_is_empty(g) (entries[g] == 0 && !held[g])
#endif

inline enter(p, g, place)
{
	assert(times_in_rmap(p, g) == 0 && place < CHAIN);
	ENTRY(g, place) = p + 1
}

/*
 * rmap_add_hinted(), where the node is known and the head is empty; else rmap_add(). Either may
 * fail: the plain fault gives up, or there is no memory. A chain's next place is read and
 * written in two steps.
 */
inline rmap_add(p, g)
{
	if
	:: d_step { head_is_empty(g) -> enter(p, g, 0); entries[g] = 1 }
	:: atomic { head_is_free(g) -> held[g] = true };
		if
		:: failed = true
		:: n = entries[g];
			d_step { enter(p, g, n) }
			d_step { entries[g] = n + 1; n = 0 }
		fi;
		held[g] = false
	fi
}

inline add_to_count(p)
{
#ifdef COUNT_NOT_ATOMIC
	n = count[p];
	d_step { count[p] = n + 1; n = 0 }
#else
	count[p]++
#endif
}

/* A leaf in a table that others see. */
inline fill_leaf(p, g)
{
	assert(state[p] == LINKED);
	assert(role[p] == view);
#ifdef NO_FREEZE
	won = (LEAF(p, g) == EMPTY);
#else
	freeze(LEAF(p, g));
#endif
	if
	:: won ->
#ifdef PUBLISH_FIRST
		LEAF(p, g) = PRESENT;
#endif
		rmap_add(p, g);
		if
		:: failed ->
#ifndef FAILURE_STAYS_FROZEN
			LEAF(p, g) = EMPTY
#endif
		:: else -> add_to_count(p); LEAF(p, g) = PRESENT
		fi
	:: else
	fi
}

inline take_page()
{
	d_step {
		page = (state[0] == FREE -> 0 : (state[1] == FREE -> 1 : 2));
		assert(state[page] == FREE);
		role[page] = view;
		state[page] = UNLINKED
	}
}

inline give_page()
{
#ifndef FAILURE_KEEPS_PAGE
	state[page] = FREE;
#endif
	page = 0
}

/* A table with its first leaf: linked last, so that nobody sees it empty. */
inline fill_table(v, g)
{
#ifdef LINK_NOT_FROZEN
	won = (link[v] == EMPTY);
#else
	freeze(link[v]);
#endif
	if
	:: won ->
		take_page();
#ifdef LINK_FIRST
		d_step { linked[v] = page; link[v] = PRESENT }
		fill_leaf(page, g);
		state[page] = LINKED
#else
		rmap_add(page, g);
		if
		:: failed -> give_page(); link[v] = EMPTY
		:: else ->
			d_step { LEAF(page, g) = PRESENT; count[page] = 1 }
			/* From here on who remembers the page may fill it, too. */
			state[page] = LINKED;
			d_step { last = page; linked[v] = page; link[v] = PRESENT; page = 0 }
		fi
#endif
	:: else
	fi
}

#ifdef FROZEN_IS_FREE
#define is_to_fill(spte) (spte != PRESENT)
#else
#define is_to_fill(spte) (spte == EMPTY)
#endif

#ifdef LAST_TABLE_STATE
#define last_is_linked true
#else
#define last_is_linked (state[last] == LINKED)
#endif
#ifdef LAST_TABLE_ROLE
#define last_is_ours true
#else
#define last_is_ours (role[last] == view)
#endif

inline fill(p, g)
{
	won = is_to_fill(LEAF(p, g));
#ifdef FROZEN_IS_FREE
	if
	:: won && LEAF(p, g) == FROZEN -> LEAF(p, g) = EMPTY
	:: else
	fi;
#endif
	if
	:: won -> fill_leaf(p, g)
	:: else
	fi
}

/* The CPU walks, at any time and without a lock. */
#define cpu_sees(g) (link[view] == PRESENT && LEAF(linked[view], g) == PRESENT)

proctype vcpu(byte view)
{
	byte g, n, page, last;
	bool won, failed;

end:	do
	:: /* A fault. Whatever it meets, it goes back to the guest, which tries again. */
		if
		:: g = 0
		:: view == 0 -> g = 1
#if GFNS > 2
		:: view == 0 -> g = 2
#endif
		fi;
		lock_shared();
		if
		:: last_is_linked && last_is_ours -> page = last; fill(page, g)
		:: !(last_is_linked && last_is_ours) ->
			if
			:: link[view] == PRESENT ->
				d_step { page = linked[view]; last = page }
				fill(page, g)
			:: link[view] == EMPTY -> fill_table(view, g)
			:: link[view] == FROZEN
			fi
		fi;
		unlock_shared();
		d_step { g = 0; page = 0; won = false; failed = false }
	:: d_step { cpu_sees(0) -> assert(times_in_rmap(linked[view], 0) == 1) }
	:: d_step { cpu_sees(1) -> assert(times_in_rmap(linked[view], 1) == 1) }
#if GFNS > 2
	:: d_step { cpu_sees(2) -> assert(times_in_rmap(linked[view], 2) == 1) }
#endif
	od
}

inline check_leaf(p, g)
{
	assert(LEAF(p, g) != FROZEN);
	assert(times_in_rmap(p, g) == (state[p] == LINKED && LEAF(p, g) == PRESENT))
}

#if GFNS > 2
#define leaves(p) ((LEAF(p, 0) == PRESENT) + (LEAF(p, 1) == PRESENT) + (LEAF(p, 2) == PRESENT))
#else
#define leaves(p) ((LEAF(p, 0) == PRESENT) + (LEAF(p, 1) == PRESENT))
#endif
#define is_linked_in(p, v) (link[v] == PRESENT && linked[v] == (p))

inline check_page(p)
{
	check_leaf(p, 0);
	check_leaf(p, 1);
#if GFNS > 2
	check_leaf(p, 2);
#endif
	assert(count[p] == leaves(p));
	assert(state[p] == (is_linked_in(p, 0) || is_linked_in(p, 1) -> LINKED : FREE));
	assert(state[p] == FREE || is_linked_in(p, role[p]));
	assert(state[p] == FREE || count[p] > 0)
}

inline check_head(g)
{
	assert(!held[g]);
	assert(entries[g] == (ENTRY(g, 0) > 0) + (ENTRY(g, 1) > 0) + (ENTRY(g, 2) > 0))
}

/* What the audit would say. */
inline check_all()
{
	d_step {
		assert(link[0] != FROZEN && link[1] != FROZEN);
		check_page(0);
		check_page(1);
		check_page(2);
		check_head(0);
		check_head(1);
#if GFNS > 2
		check_head(2)
#endif
	}
}

/* The last entry of a head, its leaf, and the leaf's table if that was its last one. */
inline zap_one(g)
{
	d_step {
		page = ENTRY(g, entries[g] - 1) - 1;
#ifndef ZAP_KEEPS_ENTRY
		ENTRY(g, entries[g] - 1) = 0;
#endif
		entries[g]--;
		assert(LEAF(page, g) == PRESENT);
		LEAF(page, g) = EMPTY;
		count[page]--;
		if
#ifndef ZAP_KEEPS_TABLE
		:: count[page] == 0 ->
			state[page] = FREE;
			if
			:: link[0] == PRESENT && linked[0] == page -> link[0] = EMPTY; linked[0] = 0
			:: else -> link[1] = EMPTY; linked[1] = 0
			fi
#endif
		:: else
		fi;
		page = 0
	}
}

proctype zapper()
{
	byte g, page;

end:	do
	:: if
		:: g = 0
		:: g = 1
#if GFNS > 2
		:: g = 2
#endif
		fi;
#ifdef ZAP_SHARED
		lock_shared();
#else
		lock();
#endif
		check_all();
		do
		:: entries[g] > 0 -> zap_one(g)
		:: else -> break
		od;
		check_all();
		g = 0;
#ifdef ZAP_SHARED
		unlock_shared()
#else
		unlock()
#endif
	od
}

init {
	byte i;

	d_step {
		link[0] = EMPTY;
		link[1] = EMPTY;
		for (i : 0 .. PAGES * GFNS - 1) {
			leaf[i] = EMPTY
		}
		for (i : 0 .. PAGES - 1) {
			state[i] = FREE
		}
		i = 0
	}
	atomic {
		run zapper();
		run vcpu(0);
		run vcpu(0);
		run vcpu(1)
	}
}
