/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intrusive, circular, doubly linked list. The head is a node of its own; an empty list
 * points at itself. No locking: the lock is the one named where the head is declared.
 */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "lib/bits.h"

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(node, head) \
	for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

static inline void list_init(struct list_node *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

/* Puts `node` before `where`; with the head as `where`, at the tail. */
static inline void list_insert_before(struct list_node *where, struct list_node *node)
{
	node->next = where;
	node->prev = where->prev;
	where->prev->next = node;
	where->prev = node;
}

static inline void list_append(struct list_node *head, struct list_node *node)
{
	list_insert_before(head, node);
}

/* Takes `node` out and leaves it as an empty list of its own. */
static inline void list_remove(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
