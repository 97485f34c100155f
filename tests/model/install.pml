/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parallel faults (mmu-contract.md, section 7; I1, I5): three vCPUs fill three gfns with the
 * lock held shared, two of them in one view and the third in another, while a zapper takes
 * it exclusively (the third fills one gfn only). Tables of level 1 come with their first leaf and go with their last. Not
 * which frame is mapped (invalidate.pml); of the reverse map three heads, without their tree.
 *
 *     leaf     freeze by compare and swap, rmap add under the head's bit, count, publish
 *     table    freeze the link, fill a page that nobody sees with its first leaf, publish
 *     else     who meets FROZEN or loses the swap tries again; who fails puts EMPTY back
 *
 * The idea: FROZEN is the right to write an SPTE while others may look at it. Whoever did not
 * make it has none, and the holder of the exclusive lock never meets it.
 *
 *   entry       each present leaf is in its rmap exactly once, at every instant that a CPU
 *               can see it; with the lock held exclusively nothing else is in there
 *   count       a table's count is the number of its leaves, and not 0 when it is linked
 *   !=2         no holder of the exclusive lock meets FROZEN, whose number that is
 *   used        a table page is linked or free
 *
 * mutation NO_FREEZE: entry
 * mutation CAS_NOT_ASKED: entry
 * mutation FROZEN_IS_FREE: entry
 * mutation NO_HEAD_BIT: entry
 * mutation COUNT_NOT_ATOMIC: count
 * mutation PUBLISH_FIRST: entry
 * mutation ZAP_SHARED: !=2
 * mutation ZAP_KEEPS_ENTRY: entry
 * mutation ZAP_KEEPS_TABLE: count
 * mutation FAILURE_STAYS_FROZEN: !=2
 * mutation FAILURE_KEEPS_PAGE: used
 * mutation LINK_NOT_FROZEN: used
 * mutation LINK_FIRST: count
 */
mtype = { EMPTY, FROZEN, PRESENT };

#define VIEWS 2
#define GFNS 3
#define PAGES 3 /* one more than can be linked */
#define CHAIN 3

mtype link[VIEWS];
byte linked[VIEWS]; /* the page behind a PRESENT link */

/* Table pages and their headers; leaf g of page p is at LEAF(p, g). */
#define LEAF(p, g) leaf[(p) * GFNS + (g)]
mtype leaf[PAGES * GFNS];
byte count[PAGES];
bool used[PAGES];

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

/* failed: no memory. A chain's next place is read and written in two steps. */
inline rmap_add(p, g)
{
#ifndef NO_HEAD_BIT
	atomic { !held[g] -> held[g] = true }
#endif
	if
	:: failed = true
	:: n = entries[g];
		d_step { assert(times_in_rmap(p, g) == 0 && entries[g] < CHAIN); ENTRY(g, n) = p + 1 }
		d_step { entries[g] = n + 1; n = 0 }
	fi;
	held[g] = false
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
		page = (!used[0] -> 0 : (!used[1] -> 1 : 2));
		assert(!used[page]);
		used[page] = true
	}
}

inline give_page()
{
#ifndef FAILURE_KEEPS_PAGE
	used[page] = false;
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
		fill_leaf(page, g)
#else
		rmap_add(page, g);
		if
		:: failed -> give_page(); link[v] = EMPTY
		:: else ->
			d_step { LEAF(page, g) = PRESENT; count[page] = 1 }
			d_step { linked[v] = page; link[v] = PRESENT; page = 0 }
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

proctype vcpu(byte view)
{
	byte g, n, page;
	bool won, failed;

end:	do
	:: /* A fault. Whatever it meets, it goes back to the guest, which tries again. */
		if
		:: g = 0
		:: view == 0 -> g = 1
		:: view == 0 -> g = 2
		fi;
		lock_shared();
		if
		:: link[view] == PRESENT ->
			d_step { page = linked[view]; won = is_to_fill(LEAF(page, g)) }
#ifdef FROZEN_IS_FREE
			if
			:: won && LEAF(page, g) == FROZEN -> LEAF(page, g) = EMPTY
			:: else
			fi;
#endif
			if
			:: won -> fill_leaf(page, g)
			:: else
			fi
		:: link[view] == EMPTY -> fill_table(view, g)
		:: link[view] == FROZEN
		fi;
		unlock_shared();
		d_step { g = 0; page = 0; won = false; failed = false }
	:: /* The CPU walks, at any time and without a lock. */
		d_step {
			link[view] == PRESENT && LEAF(linked[view], 0) == PRESENT ->
			assert(times_in_rmap(linked[view], 0) == 1)
		}
	:: d_step {
			link[view] == PRESENT && LEAF(linked[view], 1) == PRESENT ->
			assert(times_in_rmap(linked[view], 1) == 1)
		}
	:: d_step {
			link[view] == PRESENT && LEAF(linked[view], 2) == PRESENT ->
			assert(times_in_rmap(linked[view], 2) == 1)
		}
	od
}

inline check_leaf(p, g)
{
	assert(LEAF(p, g) != FROZEN);
	assert(times_in_rmap(p, g) == (used[p] && LEAF(p, g) == PRESENT))
}

inline check_page(p)
{
	check_leaf(p, 0);
	check_leaf(p, 1);
	check_leaf(p, 2);
	assert(count[p] == (LEAF(p, 0) == PRESENT) + (LEAF(p, 1) == PRESENT) +
			   (LEAF(p, 2) == PRESENT));
	assert(used[p] == ((link[0] == PRESENT && linked[0] == p) ||
			   (link[1] == PRESENT && linked[1] == p)));
	assert(!used[p] || count[p] > 0)
}

/* What the audit would say. */
inline check_all()
{
	d_step {
		assert(link[0] != FROZEN && link[1] != FROZEN);
		assert(!held[0] && !held[1] && !held[2]);
		check_page(0);
		check_page(1);
		check_page(2);
		assert(entries[0] == (ENTRY(0, 0) > 0) + (ENTRY(0, 1) > 0) + (ENTRY(0, 2) > 0));
		assert(entries[1] == (ENTRY(1, 0) > 0) + (ENTRY(1, 1) > 0) + (ENTRY(1, 2) > 0));
		assert(entries[2] == (ENTRY(2, 0) > 0) + (ENTRY(2, 1) > 0) + (ENTRY(2, 2) > 0))
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
			used[page] = false;
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
		:: g = 2
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
	d_step {
		link[0] = EMPTY;
		link[1] = EMPTY;
		leaf[0] = EMPTY;
		leaf[1] = EMPTY;
		leaf[2] = EMPTY;
		leaf[3] = EMPTY;
		leaf[4] = EMPTY;
		leaf[5] = EMPTY;
		leaf[6] = EMPTY;
		leaf[7] = EMPTY;
		leaf[8] = EMPTY
	}
	atomic {
		run zapper();
		run vcpu(0);
		run vcpu(0);
		run vcpu(1)
	}
}
