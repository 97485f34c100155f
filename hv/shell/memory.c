/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands about memory that more than one partition has to do with: faults that wait for
 * who manages, grants, the balloon. The same functions as the hypercalls', with words for
 * errors. A partition's own slots and views: slots.c.
 */
#include "hv/shell/memory.h"

#include "hv/grant.h"
#include "hv/hypercall.h"
#include "lib/string.h"

void shell_list_open(const struct shell_args *args)
{
	if (args->json) {
		json_open(NULL, '[');
	}
}

void shell_list_close(const struct shell_args *args)
{
	if (args->json) {
		json_close(']');
		json_end();
	}
}

/* See memory.h. Good until the next call. */
const char *shell_rights(unsigned int rights)
{
	static char text[4];

	text[0] = (rights & MMU_READ) ? 'r' : '-';
	text[1] = (rights & MMU_WRITE) ? 'w' : '-';
	text[2] = (rights & MMU_EXECUTE) ? 'x' : '-';
	return text;
}

/* See memory.h. */
bool shell_small_number(const struct shell_args *args, unsigned int index, const char *what,
			uint64_t end, unsigned int *value)
{
	uint64_t number;

	if (!shell_number(args, index, what, &number)) {
		return false;
	}
	if (number >= end) {
		shell_error(args, "%s %llu: expected 0 to %llu", what, (unsigned long long)number,
			    (unsigned long long)(end - 1));
		return false;
	}
	*value = (unsigned int)number;
	return true;
}

void shell_report(const struct shell_args *args, int status, const struct error_text *error)
{
	if (status) {
		shell_error(args, "%s", error->text[0] ? error->text : status_text(status));
	}
}

/* Faults that wait. */

static void fault_line(const struct shell_args *args, const struct vcpu *vcpu)
{
	const struct memory_fault_record *record = &vcpu->fault;
	const char *reason = memory_fault_reason_name(record->fault.reason);

	if (args->json) {
		json_open(NULL, '{');
		json_string("name", vcpu->partition->name);
		json_number("vcpu", vcpu->id);
		json_number("number", record->number);
		json_string("reason", reason);
		json_hex("gpa", record->fault.address.v);
		json_number("length", record->fault.length);
		json_string("access", shell_rights(record->fault.access));
		json_hex("rip", record->rip);
		json_number("again", record->again);
		json_number("missed", record->missed);
		json_close('}');
	} else {
		shell_print("%-16s vcpu %u  %-6s gpa 0x%010llx %u bytes %s  rip 0x%llx\n",
			    vcpu->partition->name, vcpu->id, reason,
			    ADDR_ARG(record->fault.address), record->fault.length,
			    shell_rights(record->fault.access), (unsigned long long)record->rip);
	}
}

static void fault_list(const struct shell_args *args)
{
	struct memory_fault_cursor cursor = { 0, 0 };
	const struct vcpu *vcpu;

	shell_list_open(args);
	while ((vcpu = memory_fault_next(&cursor)) != NULL) {
		fault_line(args, vcpu);
		cursor.vcpu++;
	}
	shell_list_close(args);
}

static int fill_with(struct partition_entry *entry, const struct vcpu *vcpu, uint64_t byte,
		     struct error_text *error)
{
	static uint8_t page[PAGE_SIZE]; /* the core's: one at a time */

	memset(page, (int)byte, sizeof(page));
	return memory_fault_fill(entry, vcpu->fault.fault.address, page, error);
}

static void fault_resolve(const struct shell_args *args)
{
	static const char *const words[] = { "retry", "inject", "kill", "zero", "fill" };
	enum { ZERO = MEMORY_FAULT_KILL + 1, FILL };
	struct partition_entry *entry = shell_built(args, 1);
	struct error_text error = { "" };
	unsigned int action = 0;
	unsigned int number;
	uint64_t byte = 0;
	int status = 0;

	if (!entry || !shell_small_number(args, 2, "vCPU", entry->partition->vcpu_count, &number)) {
		return;
	}
	while (action < ARRAY_COUNT(words) && strcmp(args->word[3], words[action]) != 0) {
		action++;
	}
	if (action == ARRAY_COUNT(words) || (action == FILL) != (args->count == 5)) {
		shell_error(args,
			    "expected: fault resolve NAME VCPU retry|inject|kill|zero|fill BYTE");
		return;
	}
	if (action == FILL && !shell_number(args, 4, "byte", &byte)) {
		return;
	}
	if (action >= ZERO) { /* fill what it waits for, then let it try again */
		const struct vcpu *vcpu = &entry->partition->vcpus[number];

		status = vcpu->fault.parked
				 ? fill_with(entry, vcpu, byte, &error)
				 : error_set(&error, -ENOENT, "%s: vCPU %u is not parked",
					     entry->config->name, number);
		action = MEMORY_FAULT_RETRY;
	}
	if (!status) {
		status = memory_fault_resolve(entry, number, (enum memory_fault_action)action,
					      &error);
	}
	shell_report(args, status, &error);
}

static void cmd_fault(const struct shell_args *args)
{
	if (strcmp(args->word[0], "list") == 0 && args->count == 1) {
		fault_list(args);
	} else if (strcmp(args->word[0], "resolve") == 0 && args->count >= 4) {
		fault_resolve(args);
	} else {
		shell_error(args, "expected: fault list, or fault resolve NAME VCPU ACTION");
	}
}

/* Grants. */

static void grant_line(const struct shell_args *args, const struct grant *grant)
{
	const char *owner = partition_at(grant->owner - 1u)->config->name;
	const char *grantee = partition_at(grant->grantee - 1u)->config->name;
	bool active = grant->state == GRANT_ACTIVE;

	if (args->json) {
		json_open(NULL, '{');
		json_number("id", grant->id);
		json_string("owner", owner);
		json_string("grantee", grantee);
		json_bool("active", active);
		json_hex("owner_gpa", gfn_to_gpa(grant->owner_gfn).v);
		json_hex("grantee_gpa", active ? gfn_to_gpa(grant->grantee_gfn).v : 0);
		json_number("pages", grant->page_count);
		json_string("rights", shell_rights(grant->rights));
		json_close('}');
		return;
	}
	shell_print("grant %-6u %s gpa 0x%llx -> %s", grant->id, owner,
		    ADDR_ARG(gfn_to_gpa(grant->owner_gfn)), grantee);
	if (active) {
		shell_print(" gpa 0x%llx", ADDR_ARG(gfn_to_gpa(grant->grantee_gfn)));
	}
	shell_print(", %llu pages %s%s\n", (unsigned long long)grant->page_count,
		    shell_rights(grant->rights), active ? "" : ", offered");
}

static void cmd_grants(const struct shell_args *args)
{
	const struct grant *grant;
	unsigned int index = 0;
	unsigned int id;

	if (args->count == 2 && strcmp(args->word[0], "revoke") == 0) {
		if (shell_small_number(args, 1, "grant", UINT32_MAX, &id) && grant_cancel(id)) {
			shell_error(args, "no grant %u; grants lists them", id);
		}
		return;
	}
	if (args->count != 0) {
		shell_error(args, "expected: grants, or grants revoke ID");
		return;
	}
	shell_list_open(args);
	while ((grant = grant_next(&index, 0)) != NULL) {
		grant_line(args, grant);
		index++;
	}
	shell_list_close(args);
}

static void cmd_balloon(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	const struct balloon *balloon;

	if (!entry) {
		return;
	}
	balloon = &entry->partition->balloon;
	if (args->json) {
		json_open(NULL, '{');
		json_number("given", balloon->given);
		json_number("gave", balloon->gave);
		json_number("took", balloon->took);
		json_close('}');
		json_end();
		return;
	}
	shell_print("%llu pages given back now; %llu given and %llu taken again in all\n",
		    (unsigned long long)balloon->given, (unsigned long long)balloon->gave,
		    (unsigned long long)balloon->took);
}

static const struct shell_command commands[] = {
	{ "fault", "list [-j]",
	  "vCPUs that wait for memory;\n"
	  "            resolve NAME VCPU retry|inject|kill|zero|fill BYTE",
	  1, 5, true, cmd_fault },
	{ "grants", "[revoke ID] [-j]", "memory that one partition shares with another", 0, 2, true,
	  cmd_grants },
	{ "balloon", "NAME [-j]", "pages that it gave back", 1, 1, true, cmd_balloon },
};

const struct shell_family shell_memory = { "Memory between partitions", commands,
					   ARRAY_COUNT(commands) };
