/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frama-C WP over the reverse map: the lines of mm/rmap_line.h, and what mm/rmap.c does with
 * a head, its chain and an entry: head_insert(), chain_delete(), rmap_next(), head_count().
 * Contracts are here, loop invariants and steps of proofs are put into copies of the files.
 * Proved for all contents: what is added is there once more, what is removed once less, how
 * often any other is there does not change; a line has no holes; each entry is visited once,
 * in order; no run-time error; an end of each loop, also in rings of damaged lines.
 *
 * Believed, not proved: the five contracts under "Believed" (a pointer is made from an
 * integer and back, the pool's pages are valid memory, a list under a lock). Not here: the
 * tree above the heads, and what others do at the same time (install.pml).
 *
 * at mm/rmap_line.h: //@ USED_LOOP // while (used < RMAP_LINE_ENTRIES
 * at mm/rmap_line.h: //@ COUNT_LOOP // for (unsigned int i = 0;
 * at mm/rmap_line.h: //@ OTHER // if (line != first || line->sptep[where] != 0) {
 * at mm/rmap_line.h: //@ WHERE // if (line != first || line->sptep[where] != 0) {
 * at mm/rmap.c: //@ NEXT_LOOP // while (cursor->line) {
 * at mm/rmap.c: //@ FOUND // *sptep = hpa(cursor->line->sptep[cursor->next++]);
 * at mm/rmap.c: //@ NEXT_LINE // cursor->line = cursor->line->next;
 * at mm/rmap.c: //@ COUNT_ALL_LOOP // while (rmap_next(rmap, head, &cursor, &entry)) {
 * at mm/rmap.c: //@ NEW_LINE // cache->line = NULL;
 * at mm/rmap.c: //@ NEW_LINE // if (head & RMAP_CHAIN) {
 * at mm/rmap.c: //@ INSERTED // (void)rmap_line_insert(line, sptep);
 * at mm/rmap.c: //@ LAST // struct rmap_line *next = first->next;
 * at mm/rmap.c: //@ NEXT_STAYS // first = next;
 * at mm/rmap.c: //@ LINE_STAYS // first = next;
 * at mm/rmap.c: //@ DROPPED // if (rmap_line_used(first) == 1 && !first->next) {
 *
 * functions lemmas: @lemma
 * functions line -wp-split: rmap_line_used,rmap_line_count,rmap_line_insert,rmap_line_pop
 * functions delete -wp-split: rmap_line_delete,delete_takes_one
 * functions next: rmap_next,hpa
 * functions count -wp-split: head_count
 * functions insert: head_insert,chain_is_long,drop_line
 * functions remove -wp-split: chain_delete
 *
 * mutation USED_TOO_FAR in rmap_line_used: mm/rmap_line.h: (used < => (used <=
 * mutation INSERT_AT_FRONT in rmap_line_insert: mm/rmap_line.h: [used] = => [0] =
 * mutation COUNT_ONE_AT_MOST in rmap_line_count: mm/rmap_line.h: count++; => count = 1;
 * mutation POP_LEAVES_IT in rmap_line_pop: mm/rmap_line.h: line->sptep[last] = 0; => ;
 * mutation DELETE_LEAVES_HOLE in rmap_line_delete: mm/rmap_line.h: [where] = last; => [where] = 0;
 * mutation NEXT_SKIPS_ONE in rmap_next: mm/rmap.c: cursor->next = 0; => cursor->next = 1;
 * mutation NEXT_WITHOUT_END in rmap_next: mm/rmap.c: cursor->steps++; => ;
 * mutation ADD_LOSES_CHAIN in head_insert: mm/rmap.c: line->next = head_line(head); => ;
 * mutation DROP_KEEPS_LINE in chain_delete: mm/rmap.c: line_head(next) => line_head(first)
 */
#include <stdint.h>

/* clang-format off */

/*@ // Entries before the first 0.
    logic integer used_of{L}(uint64_t *entry) =
      entry[0] == 0 ? 0 : entry[1] == 0 ? 1 : entry[2] == 0 ? 2 : entry[3] == 0 ? 3 :
      entry[4] == 0 ? 4 : entry[5] == 0 ? 5 : entry[6] == 0 ? 6 : 7;

    // How many of the first n entries are v.
    axiomatic Hits {
      logic integer hit(integer entry, integer v) = entry == v ? 1 : 0;
      logic integer hits{L}(uint64_t *entry, integer n, integer v) =
        (n > 0 ? hit(entry[0], v) : 0) + (n > 1 ? hit(entry[1], v) : 0) +
        (n > 2 ? hit(entry[2], v) : 0) + (n > 3 ? hit(entry[3], v) : 0) +
        (n > 4 ? hit(entry[4], v) : 0) + (n > 5 ? hit(entry[5], v) : 0) +
        (n > 6 ? hit(entry[6], v) : 0);
      lemma one_more{L}: \forall uint64_t *entry, integer n, m, v; 0 <= n < 7 && m == n + 1 ==>
        hits(entry, m, v) == hits(entry, n, v) + hit(entry[n], v);
      lemma rest{L}: \forall uint64_t *entry, integer n, v; 0 <= n <= 7 && v != 0 &&
        (\forall integer i; n <= i < 7 ==> entry[i] == 0) ==>
        hits(entry, 7, v) == hits(entry, n, v);
    }
*/

/* Annotations inside mm/rmap_line.h. */

#define USED_LOOP \
	loop invariant 0 <= used <= 7; \
	loop invariant \forall integer j; 0 <= j < used ==> line->sptep[j] != 0; \
	loop assigns used; \
	loop variant 7 - used;

#define COUNT_LOOP \
	loop invariant 0 <= count <= i <= 7; \
	loop invariant \forall integer j; 0 <= j < i ==> line->sptep[j] != 0; \
	loop invariant count == hits(&line->sptep[0], i, sptep); \
	loop invariant count > 0 ==> *where < i && line->sptep[*where] == sptep; \
	loop assigns i, count, *where; \
	loop variant 7 - i;

#define OTHER \
	assert other: line != first ==> \
	  \forall integer i; 0 <= i < 7 ==> line->sptep[i] == \at(line->sptep[i], Pre);
#define WAS_LAST \at(used_of(&first->sptep[0]), Pre) - 1
#define WHERE \
	assert where: line == first ==> where <= WAS_LAST && \
	  (where < WAS_LAST ==> line->sptep[where] == \at(line->sptep[where], Pre));

#include "mm/rmap_line.h"

/*@ logic integer used{L}(struct rmap_line *line) = used_of(&line->sptep[0]);

    // Filled from the front with n entries.
    predicate filled{L}(struct rmap_line *line, integer n) =
      0 <= n <= 7 && (\forall integer i; 0 <= i < 7 ==> (line->sptep[i] != 0 <==> i < n));
    predicate dense{L}(struct rmap_line *line) = filled(line, used(line));
    lemma used_range{L}: \forall struct rmap_line *line; 0 <= used(line) <= 7;
    lemma used_filled{L}: \forall struct rmap_line *line, integer n; filled(line, n) ==>
      used(line) == n;

    // The same entries at two moments, or all but the one at n, or the one at m moved to n.
    predicate same{K, L}(struct rmap_line *line) = \forall integer i;
      0 <= i < 7 ==> \at(line->sptep[i], K) == \at(line->sptep[i], L);
    predicate but{K, L}(struct rmap_line *line, integer n) = \forall integer i;
      0 <= i < 7 && i != n ==> \at(line->sptep[i], K) == \at(line->sptep[i], L);
    predicate moved{K, L}(struct rmap_line *line, integer n, integer m) =
      n != m && \at(line->sptep[n], L) == \at(line->sptep[m], K) &&
      \at(line->sptep[m], L) == 0 && \forall integer i;
      0 <= i < 7 && i != n && i != m ==> \at(line->sptep[i], K) == \at(line->sptep[i], L);
    predicate index(integer n) =
      n == 0 || n == 1 || n == 2 || n == 3 || n == 4 || n == 5 || n == 6;

    // How often a line holds v, and what the above means for that; first index by index.
    axiomatic Times {
      logic integer times{L}(struct rmap_line *line, integer v) = hits(&line->sptep[0], 7, v);
      lemma but_index{K, L}: \forall struct rmap_line *line, integer n, v;
        index(n) && but{K, L}(line, n) ==> times{L}(line, v) == times{K}(line, v)
          - hit(\at(line->sptep[n], K), v) + hit(\at(line->sptep[n], L), v);
      lemma but_times{K, L}: \forall struct rmap_line *line, integer n, v;
        0 <= n < 7 && but{K, L}(line, n) ==> times{L}(line, v) == times{K}(line, v)
          - hit(\at(line->sptep[n], K), v) + hit(\at(line->sptep[n], L), v);
      lemma moved_index{K, L}: \forall struct rmap_line *line, integer n, m, v;
        v != 0 && index(n) && index(m) && moved{K, L}(line, n, m) ==>
        times{L}(line, v) == times{K}(line, v) - hit(\at(line->sptep[n], K), v);
      lemma moved_times{K, L}: \forall struct rmap_line *line, integer n, m, v;
        v != 0 && 0 <= n < 7 && 0 <= m < 7 && moved{K, L}(line, n, m) ==>
        times{L}(line, v) == times{K}(line, v) - hit(\at(line->sptep[n], K), v);
    }

    // A chain of any number of lines, from the first; what a head points at.
    axiomatic Chain {
      logic integer lines;
      logic struct rmap_line *nth(integer k);
      logic struct rmap_line *line_of(integer head);
      predicate in_pool(struct rmap_line *line);
    }
    predicate linked{L} = 1 <= lines && nth(lines) == \null &&
      (\forall integer k; 0 <= k < lines ==>
        \valid(nth(k)) && in_pool(nth(k)) && nth(k)->sptep[0] != 0) &&
      (\forall integer k, m; 0 <= k < lines && m == k + 1 ==> nth(k)->next == nth(m));
    predicate chain{L} = linked && dense(nth(0)) &&
      (\forall integer k; 1 <= k < lines ==> filled(nth(k), 7));

    // How often the first k lines of the chain hold v.
    axiomatic Total {
      logic integer total{L}(integer k, integer v) =
        k <= 0 ? 0 : total(k - 1, v) + times(nth(k - 1), v);
      lemma total_next{L}: \forall integer k, m, v; k >= 0 && m == k + 1 ==>
        total(m, v) == total(k, v) + times(nth(k), v);
      lemma hits_next{L}: \forall struct rmap_line *line, integer n, m, v;
        0 <= n < 7 && m == n + 1 ==>
        hits(&line->sptep[0], m, v) == hits(&line->sptep[0], n, v) + hit(line->sptep[n], v);
      lemma hits_filled{L}: \forall struct rmap_line *line, integer n, u, v;
        0 <= n <= 7 && v != 0 && filled(line, u) && (n == 7 || line->sptep[n] == 0) ==>
        times(line, v) == hits(&line->sptep[0], n, v);
      lemma hits_end{L}: \forall integer k, n, v; chain && 0 <= k < lines &&
        0 <= n <= 7 && v != 0 && (n == 7 || nth(k)->sptep[n] == 0) ==>
        times(nth(k), v) == hits(&nth(k)->sptep[0], n, v);
    }
*/

/* Annotations inside mm/rmap.c. */

#define UNCHANGED(l) (same{Pre, Here}(l) && (l)->next == \at((l)->next, Pre))
#define LIMIT (rmap->pool->page_count * 64)
#define INTACT ((head & 1) != 0 && line_of(head) == nth(0) && linked && lines <= LIMIT)
#define START (cursor->line == \null && cursor->steps == 0 && cursor->next == 0)
#define INSIDE (0 <= cursor->steps < lines && cursor->line == nth(cursor->steps) && \
	1 <= cursor->next <= 7)
#define STEPS \at(cursor->steps, Pre)
#define NEXT \at(cursor->next, Pre)

#define NEXT_LOOP \
	loop invariant pool: rmap->pool == \at(rmap->pool, Pre) && LIMIT == \at(LIMIT, Pre); \
	loop invariant cursor->steps <= LIMIT + 1 && cursor->next <= 7; \
	loop invariant on: cursor->steps > STEPS || \
	  (cursor->steps == STEPS && cursor->next == NEXT); \
	loop invariant kept: \forall struct rmap_line *l; in_pool(l) ==> UNCHANGED(l); \
	loop invariant damaged: cursor->damaged == \at(cursor->damaged, Pre); \
	loop invariant where: \at(INTACT && (START || INSIDE), Pre) ==> \
	  (cursor->steps == STEPS && cursor->next == NEXT) || \
	  (cursor->steps == STEPS + 1 && cursor->next == 0); \
	loop invariant line: \at(INTACT && (START || INSIDE), Pre) ==> \
	  cursor->steps <= lines && cursor->line == nth(cursor->steps); \
	loop invariant after: \at(INTACT && (START || INSIDE), Pre) && cursor->steps > STEPS ==> \
	  NEXT == 7 || \at(nth(cursor->steps)->sptep[cursor->next], Pre) == 0; \
	loop assigns *cursor; \
	loop variant LIMIT + 1 - cursor->steps;

#define FOUND \
	assert found: cursor->steps <= LIMIT && cursor->next <= 6 && \
	  (cursor->steps > STEPS || (cursor->steps == STEPS && cursor->next == NEXT));

#define NEXT_LINE \
	assert next_line: \at(INTACT && (START || INSIDE), Pre) ==> cursor->steps < lines && \
	  cursor->line->next == nth(cursor->steps + 1);

#define COUNT_ALL_LOOP \
	loop invariant cursor.steps <= LIMIT + 1 && cursor.next <= 7; \
	loop invariant limit: LIMIT == \at(LIMIT, Pre); \
	loop invariant few: count <= 7 * cursor.steps + cursor.next; \
	loop invariant one: (head & 1) == 0 ==> !cursor.damaged && \
	  ((cursor.next == 0 && count == 0) || \
	   (cursor.next == 1 && count == (head == sptep ? 1 : 0))); \
	loop invariant kept: \forall struct rmap_line *l; in_pool(l) ==> UNCHANGED(l); \
	loop invariant intact: \at(INTACT, Pre) ==> INTACT && !cursor.damaged; \
	loop invariant begin: \at(INTACT, Pre) && cursor.line == \null ==> \
	  cursor.steps == 0 && cursor.next == 0 && count == 0; \
	loop invariant inside: \at(INTACT, Pre) && cursor.line != \null ==> \
	  cursor.steps < lines && cursor.line == nth(cursor.steps) && 1 <= cursor.next; \
	loop invariant count: \at(INTACT && chain, Pre) && cursor.line != \null ==> \
	  count == total{Pre}(cursor.steps, sptep) + \
	    hits{Pre}(&nth(cursor.steps)->sptep[0], cursor.next, sptep); \
	loop invariant end: \at(INTACT && chain, Pre) && cursor.line != \null && \
	  (cursor.next == 7 || nth(cursor.steps)->sptep[cursor.next] == 0) ==> \
	  count == total{Pre}(cursor.steps + 1, sptep); \
	loop assigns cursor, entry, count, *line; \
	loop variant (LIMIT + 2 - cursor.steps) * 8 - cursor.next;

#define NEW_LINE assert new_line: filled(line, 0) && line->next == \null;
#define INSERTED \
	assert inserted: ((head & 1) != 0 ==> filled(line, 0)) && \
	  ((head & 1) == 0 ==> filled(line, 1));

#define FIRST_PRE line_of(\at(head, Pre))
#define BEHIND (line != FIRST_PRE ==> filled(line, 7) && but{Pre, Here}(line, where) && \
	line->sptep[where] == \at(line_of(head)->sptep[used(line_of(head)) - 1], Pre))
#define LAST \
	assert last: \at(used(line_of(head)), Pre) == 1 && first->next != \null && \
	  filled(first->next, 7) && BEHIND;
#define NEXT_STAYS assert next_stays: filled(next, 7);
#define LINE_STAYS assert line_stays: BEHIND;
#define DROPPED assert dropped: first != FIRST_PRE ==> \valid(first) && filled(first, 7);

#include "mm/rmap.c"

/* Lines. */

/*@ requires \valid_read(line);
    assigns \nothing;
    ensures \result == used(line);
*/
static inline unsigned int rmap_line_used(const struct rmap_line *line);

/*@ requires \valid_read(line) && \valid(where) && \separated(line, where);
    requires sptep != 0 && dense(line);
    assigns *where;
    ensures \result == times(line, sptep);
    ensures \result > 0 ==> *where < 7 && line->sptep[*where] == sptep;
*/
static inline unsigned int rmap_line_count(const struct rmap_line *line, uint64_t sptep,
					   unsigned int *where);

/*@ requires \valid(line) && sptep != 0 && dense(line);
    assigns line->sptep[0 .. 6];
    behavior full:
      assumes used(line) == 7;
      ensures \result == 0 && same{Pre, Post}(line);
    behavior room:
      assumes used(line) < 7;
      ensures \result == 1;
      ensures dense: dense(line) && used(line) == \old(used(line)) + 1;
      ensures last: line->sptep[\old(used(line))] == sptep;
      ensures others: \forall integer i; 0 <= i < 7 && i != \old(used(line)) ==>
        line->sptep[i] == \old(line->sptep[i]);
      ensures once: \forall integer v; v != 0 ==>
        times(line, v) == \old(times(line, v)) + (v == sptep ? 1 : 0);
    complete behaviors;
    disjoint behaviors;
*/
static inline bool rmap_line_insert(struct rmap_line *line, uint64_t sptep);

/*@ requires \valid(line) && line->sptep[0] != 0 && dense(line);
    assigns line->sptep[0 .. 6];
    ensures dense: dense(line) && used(line) == \old(used(line)) - 1;
    ensures last: \result == \old(line->sptep[used(line) - 1]) && \result != 0;
    ensures filled: filled(line, \old(used(line)) - 1);
    ensures others: \forall integer i; 0 <= i < 7 && i != used(line) ==>
      line->sptep[i] == \old(line->sptep[i]);
    ensures times: \forall integer v; v != 0 ==>
      times(line, v) == \old(times(line, v)) - (v == \result ? 1 : 0);
*/
static inline uint64_t rmap_line_pop(struct rmap_line *line);

/*@ requires \valid(first) && \valid(line) && where < 7 && line->sptep[where] != 0;
    requires dense(first) && first->sptep[0] != 0;
    requires line == first || (filled(line, 7) && \separated(line, first));
    assigns first->sptep[0 .. 6], line->sptep[0 .. 6];
    ensures first: filled(first, \old(used(first)) - 1);
    ensures line: line != first ==> filled(line, 7) && but{Pre, Post}(line, where) &&
      line->sptep[where] == \old(first->sptep[used(first) - 1]);
    ensures but: line != first || where == \old(used(first)) - 1 ==>
      but{Pre, Post}(first, \old(used(first)) - 1) && first->sptep[\old(used(first)) - 1] == 0;
    ensures moved: line == first && where < \old(used(first)) - 1 ==>
      moved{Pre, Post}(first, where, \old(used(first)) - 1);
*/
static inline void rmap_line_delete(struct rmap_line *first, struct rmap_line *line,
				    unsigned int where);

/* The same, in numbers: one less of what was at `where`, and of nothing else. */

/*@ requires \valid(first) && \valid(line) && where < 7 && line->sptep[where] != 0;
    requires dense(first) && first->sptep[0] != 0;
    requires line == first || (filled(line, 7) && \separated(line, first));
    assigns first->sptep[0 .. 6], line->sptep[0 .. 6];
    ensures used: dense(first) && used(first) == \old(used(first)) - 1;
    ensures one: line == first ==> \forall integer v; v != 0 ==>
      times(first, v) == \old(times(first, v)) - hit(\old(line->sptep[where]), v);
    ensures two: line != first ==> \forall integer v; v != 0 ==>
      times(first, v) + times(line, v) ==
        \old(times(first, v) + times(line, v)) - hit(\old(line->sptep[where]), v);
*/
static void delete_takes_one(struct rmap_line *first, struct rmap_line *line, unsigned int where)
{
	rmap_line_delete(first, line, where);
}

/* Believed. */

/*@ assigns \nothing;
    ensures \result == line_of(head); */
static struct rmap_line *head_line(uint64_t head);

/*@ assigns \nothing;
    ensures line_of(\result) == line && (\result & 1) != 0; */
static uint64_t line_head(const struct rmap_line *line);

/*@ assigns \nothing;
    ensures \result != 0 <==> in_pool(line);
    ensures in_pool(line) ==> \valid_read(line); */
static bool line_is_valid(const struct rmap *rmap, const struct rmap_line *line);

/*@ assigns rmap->line_count; */
static void lines_count(struct rmap *rmap, uint64_t change);

/*@ assigns rmap->spare, rmap->spare_lock, *line; */
void rmap_line_give(struct rmap *rmap, struct rmap_line *line);

/* Heads and chains. */

/*@ assigns \nothing;
    ensures \result.v == v; */
static inline hpa_t hpa(uint64_t v);

/*@ requires \valid_read(rmap) && \valid_read(rmap->pool) && \valid(cursor) && \valid(sptep);
    requires \separated(cursor, sptep, rmap, rmap->pool);
    requires \forall struct rmap_line *line; in_pool(line) ==>
      \separated(line, cursor) && \separated(line, sptep);
    requires rmap->pool->page_count <= 0x800000 && cursor->steps <= LIMIT + 1;
    requires cursor->next <= 7;
    assigns *cursor, *sptep;
    ensures few: \result != 0 ==> cursor->steps <= \old(LIMIT) + 1;
    ensures next: \result != 0 ==> 1 <= cursor->next <= 7;
    ensures progress: \result != 0 && (head & 1) != 0 ==> cursor->steps > \old(cursor->steps) ||
      (cursor->steps == \old(cursor->steps) && cursor->next > \old(cursor->next));
    behavior one:
      assumes (head & 1) == 0;
      ensures \result == (head != 0 && \old(cursor->next) == 0 ? 1 : 0);
      ensures sptep->v == head;
      ensures cursor->damaged == \old(cursor->damaged) && cursor->line == \old(cursor->line) &&
        cursor->steps == \old(cursor->steps);
      ensures cursor->next >= \old(cursor->next) && (\result != 0 ==> cursor->next == 1);
    behavior chain:
      assumes INTACT && (START || INSIDE);
      ensures inside: \result != 0 ==> INSIDE;
      ensures is: \result != 0 ==> sptep->v == cursor->line->sptep[cursor->next - 1];
      ensures goes_on: \result != 0 ==>
        (cursor->steps == \old(cursor->steps) && cursor->next == \old(cursor->next) + 1) ||
        (cursor->steps == \old(cursor->steps) + 1 && cursor->next == 1 &&
         (\old(cursor->next) == 7 || \old(nth(cursor->steps)->sptep[cursor->next]) == 0));
      ensures end: \result == 0 ==> cursor->line == \null && \old(cursor->steps) == lines - 1 &&
        (\old(cursor->next) == 7 || \old(nth(cursor->steps)->sptep[cursor->next]) == 0);
      ensures cursor->damaged == \old(cursor->damaged);
*/
bool rmap_next(const struct rmap *rmap, uint64_t head, struct rmap_cursor *cursor, hpa_t *sptep);

#define FIRST line_of(head)
#define POOL (\forall struct rmap_line *l; in_pool(l) ==> \valid(l))

/*@ requires \valid_read(rmap) && \valid_read(rmap->pool) && POOL && sptep != 0;
    requires \valid(line) && \valid(damaged) && \separated(line, damaged, rmap, rmap->pool);
    requires \forall struct rmap_line *l; in_pool(l) ==>
      \separated(line, l) && \separated(damaged, l);
    requires rmap->pool->page_count <= 0x800000;
    assigns *line, *damaged;
    behavior one:
      assumes (head & 1) == 0;
      ensures \result == (head == sptep ? 1 : 0) && *damaged == 0;
    behavior chain:
      assumes INTACT && chain;
      ensures all: \result == \old(total(lines, sptep));
      ensures sound: *damaged == 0;
*/
static unsigned int head_count(const struct rmap *rmap, uint64_t head, uint64_t sptep,
			       struct rmap_line **line, bool *damaged);

/*@ requires \valid_read(FIRST);
    assigns \nothing;
    ensures \result == (used(FIRST) >= (FIRST->next == \null ? 2 : 1) ? 1 : 0);
*/
static bool chain_is_long(uint64_t head);

/*@ requires \valid(rmap) && \valid(first) && \separated(rmap, first);
    assigns rmap->line_count, rmap->spare, rmap->spare_lock, *first;
    ensures \result == head;
    ensures others: \forall struct rmap_line *l; \separated(l, first) && \separated(l, rmap) ==>
      same{Pre, Post}(l) && l->next == \old(l->next);
*/
static uint64_t drop_line(struct rmap *rmap, struct rmap_line *first, uint64_t head);

/*@ requires \valid(rmap) && \valid(cache) && (head == 0 || \valid(cache->line)) && sptep != 0;
    requires \separated(rmap, cache, cache->line, FIRST);
    requires head != 0 ==> filled(cache->line, 0) && cache->line->next == \null;
    requires (head & 1) != 0 ==> \valid(FIRST) && dense(FIRST);
    assigns cache->line, rmap->line_count, *cache->line, FIRST->sptep[0 .. 6];
    behavior empty:
      assumes head == 0;
      assigns \nothing;
      ensures \result == sptep;
    behavior second:
      assumes head != 0 && (head & 1) == 0;
      assigns cache->line, rmap->line_count, *cache->line;
      ensures (\result & 1) != 0 && line_of(\result) == \old(cache->line) && cache->line == \null;
      ensures filled(line_of(\result), 2) && line_of(\result)->next == \null;
      ensures line_of(\result)->sptep[0] == head && line_of(\result)->sptep[1] == sptep;
    behavior room:
      assumes (head & 1) != 0 && used(FIRST) < 7;
      ensures \result == head && dense(FIRST) && used(FIRST) == \old(used(FIRST)) + 1;
      ensures FIRST->sptep[\old(used(FIRST))] == sptep;
      ensures others: \forall integer i; 0 <= i < 7 && i != \old(used(FIRST)) ==>
        FIRST->sptep[i] == \old(FIRST->sptep[i]);
      ensures times: \forall integer v; v != 0 ==>
        times(FIRST, v) == \old(times(FIRST, v)) + (v == sptep ? 1 : 0);
    behavior full:
      assumes (head & 1) != 0 && used(FIRST) == 7;
      ensures kept: same{Pre, Post}(FIRST) && FIRST->next == \old(FIRST->next);
      ensures (\result & 1) != 0 && line_of(\result) == \old(cache->line) && cache->line == \null;
      ensures filled(line_of(\result), 1) && line_of(\result)->sptep[0] == sptep;
      ensures line_of(\result)->next == FIRST;
    complete behaviors;
*/
static uint64_t head_insert(struct rmap *rmap, struct mmu_cache *cache, uint64_t head,
			    uint64_t sptep);

/*@ requires \valid(rmap) && \valid(FIRST) && \valid(line) && where < 7 && (head & 1) != 0;
    requires dense(FIRST) && used(FIRST) >= (FIRST->next == \null ? 2 : 1);
    requires line->sptep[where] != 0;
    requires \separated(FIRST, rmap) && \separated(line, rmap);
    requires line != FIRST ==> filled(line, 7) && FIRST->next != \null && \separated(line, FIRST);
    requires FIRST->next != \null ==> \valid(FIRST->next) && filled(FIRST->next, 7) &&
      \separated(FIRST->next, FIRST) && \separated(FIRST->next, rmap);
    requires line == FIRST->next || line == FIRST || \separated(line, FIRST->next);
    assigns rmap->line_count, rmap->spare, rmap->spare_lock, *FIRST, line->sptep[0 .. 6];
    ensures behind: line != FIRST ==> filled(line, 7) && but{Pre, Post}(line, where) &&
      line->sptep[where] == \old(FIRST->sptep[used(FIRST) - 1]);
    behavior stays:
      assumes used(FIRST) >= (FIRST->next == \null ? 3 : 2);
      ensures \result == head && FIRST->next == \old(FIRST->next);
      ensures filled(FIRST, \old(used(FIRST)) - 1);
      ensures but: line != FIRST || where == \old(used(FIRST)) - 1 ==>
        but{Pre, Post}(FIRST, \old(used(FIRST)) - 1);
      ensures moved: line == FIRST && where < \old(used(FIRST)) - 1 ==>
        moved{Pre, Post}(FIRST, where, \old(used(FIRST)) - 1);
    behavior goes:
      assumes used(FIRST) == 1;
      ensures (\result & 1) != 0 && line_of(\result) == \old(FIRST->next);
      ensures filled(line_of(\result), 7);
    behavior one:
      assumes used(FIRST) == 2 && FIRST->next == \null;
      ensures \result == \old(FIRST->sptep[1 - where]);
    complete behaviors;
    disjoint behaviors;
*/
static uint64_t chain_delete(struct rmap *rmap, uint64_t head, struct rmap_line *line,
			     unsigned int where);
