/*
 * vocabulary.c - values to ids: categorical values by hash, domains by name.
 *
 * A frozen vocabulary is its hashes in ascending order and a table of where
 * each bucket (the hash's high bits) starts: hashes are uniform, so a look-up
 * compares one or two of them.
 */
#include <string.h>

#include "mml_layers.h"

#define LEARN_POLL 65536		/* values between two polls */

static size_t
slots_for(size_t n)
{
	size_t		slots = 16;

	while (slots < 2 * n)
		slots *= 2;
	return slots;
}

/* ----------------------------------------------------------- categorical */

static mml_status
rehash(mml_host *host, mml_vocabulary *vocabulary, size_t n_slots)
{
	uint32_t   *slots;

	MML_TRY(MML_NEW(host, slots, n_slots));
	for (uint32_t i = 0; i < vocabulary->n; i++)
	{
		size_t		at = vocabulary->hashes[i] & (n_slots - 1);

		while (slots[at] != 0)
			at = (at + 1) & (n_slots - 1);
		slots[at] = i + 1;
		if (i % LEARN_POLL == LEARN_POLL - 1 && mml_poll(host) != MML_OK)
		{
			mml_release(host, slots);
			return MML_CANCELLED;
		}
	}
	mml_release(host, vocabulary->slots);
	vocabulary->slots = slots;
	vocabulary->n_slots = n_slots;
	return MML_OK;
}

mml_status
mml_vocabulary_learn(mml_host *host, mml_vocabulary *vocabulary, uint64_t hash, uint32_t *id)
{
	size_t		at;

	if ((size_t) (vocabulary->n + 1) * 2 > vocabulary->n_slots)
		MML_TRY(rehash(host, vocabulary, slots_for((size_t) vocabulary->n * 2)));
	for (at = hash & (vocabulary->n_slots - 1); vocabulary->slots[at] != 0; at = (at + 1) & (vocabulary->n_slots - 1))
	{
		uint32_t	index = vocabulary->slots[at] - 1;

		if (vocabulary->hashes[index] == hash)
		{
			*id = index + MML_ID_FIRST;
			return MML_OK;
		}
	}
	if (vocabulary->n >= UINT32_MAX / 4)
		return mml_fail(host, MML_LIMIT, "a feature has more than %u distinct values", UINT32_MAX / 4);
	MML_TRY(mml_grow(host, (void **) &vocabulary->hashes, &vocabulary->hashes_held, vocabulary->n,
					 (size_t) vocabulary->n + 1, sizeof(uint64_t)));
	vocabulary->hashes[vocabulary->n] = hash;
	vocabulary->slots[at] = ++vocabulary->n;
	*id = vocabulary->n - 1 + MML_ID_FIRST;
	return MML_OK;
}

/* Sorts the kept hashes; fills to_final for them. */
static mml_status
sort_kept(mml_host *host, uint64_t *hashes, uint32_t *old_index, uint32_t n, uint32_t *to_final)
{
	uint64_t   *spare_hashes;
	uint32_t   *spare_index;
	mml_status	status;

	MML_TRY(MML_NEW(host, spare_hashes, n));
	status = MML_NEW(host, spare_index, n);
	if (status == MML_OK)
		status = mml_sort(host, hashes, old_index, spare_hashes, spare_index, n);
	for (uint32_t i = 0; status == MML_OK && i < n; i++)
	{
		to_final[old_index[i]] = i + MML_ID_FIRST;
		if (i % LEARN_POLL == LEARN_POLL - 1)
			status = mml_poll(host);
	}
	mml_release(host, spare_hashes);
	mml_release(host, spare_index);
	return status;
}

mml_status
mml_vocabulary_freeze(mml_host *host, mml_vocabulary *vocabulary,
					  const uint32_t *counts, uint32_t min_count, uint32_t *to_final)
{
	uint32_t	n = 0;
	uint64_t   *hashes = NULL;
	uint32_t   *old_index = NULL;
	mml_status	status;

	mml_release(host, vocabulary->slots);	/* nothing is looked up any more */
	vocabulary->slots = NULL;
	vocabulary->n_slots = 0;
	status = MML_NEW(host, hashes, vocabulary->n);
	if (status == MML_OK)
		status = MML_NEW(host, old_index, vocabulary->n);
	for (uint32_t i = 0; status == MML_OK && i < vocabulary->n; i++)
	{
		to_final[i] = MML_ID_UNKNOWN;
		if (counts[i] == 0 || counts[i] < min_count)
			continue;
		hashes[n] = vocabulary->hashes[i];
		old_index[n++] = i;
	}
	if (status == MML_OK)
		status = sort_kept(host, hashes, old_index, n, to_final);
	mml_release(host, old_index);
	if (status != MML_OK)
	{
		mml_release(host, hashes);
		return status;
	}
	mml_vocabulary_free(host, vocabulary);
	return mml_vocabulary_from_sorted(host, vocabulary, hashes, n);
}

mml_status
mml_vocabulary_from_sorted(mml_host *host, mml_vocabulary *vocabulary, uint64_t *hashes, uint32_t n)
{
	int			bits = 0;
	uint32_t	at = 0;

	memset(vocabulary, 0, sizeof(*vocabulary));
	vocabulary->hashes = hashes;
	vocabulary->hashes_held = n;
	vocabulary->n = n;
	while (bits < 30 && ((uint32_t) 1 << bits) < n)
		bits++;
	if (bits == 0)
		bits = 1;				/* a shift by 64 is undefined */
	vocabulary->shift = 64 - bits;
	MML_TRY(MML_NEW(host, vocabulary->starts, ((size_t) 1 << bits) + 1));
	for (size_t bucket = 0; bucket <= ((size_t) 1 << bits); bucket++)
	{
		while (at < n && (hashes[at] >> vocabulary->shift) < bucket)
			at++;
		vocabulary->starts[bucket] = at;
	}
	return MML_OK;
}

uint32_t
mml_vocabulary_find(const mml_vocabulary *vocabulary, uint64_t hash)
{
	size_t		bucket = hash >> vocabulary->shift;
	uint32_t	end = vocabulary->starts[bucket + 1];

	for (uint32_t i = vocabulary->starts[bucket]; i < end; i++)
		if (vocabulary->hashes[i] == hash)
			return i + MML_ID_FIRST;
	return MML_ID_UNKNOWN;
}

void
mml_vocabulary_free(mml_host *host, mml_vocabulary *vocabulary)
{
	mml_release(host, vocabulary->hashes);
	mml_release(host, vocabulary->slots);
	mml_release(host, vocabulary->starts);
	memset(vocabulary, 0, sizeof(*vocabulary));
}

/* --------------------------------------------------------------- domains */

static size_t
name_slot(const mml_names *names, const char *name, size_t length)
{
	size_t		at = mml_hash_bytes(name, length, 0) & (names->n_slots - 1);

	while (names->slots[at] != 0)
	{
		const char *held = names->entries[names->slots[at] - 1].name;

		if (strlen(held) == length && memcmp(held, name, length) == 0)
			break;
		at = (at + 1) & (names->n_slots - 1);
	}
	return at;
}

int64_t
mml_names_find(const mml_names *names, const char *name, size_t length)
{
	if (names->n == 0)
		return -1;
	return (int64_t) names->slots[name_slot(names, name, length)] - 1;
}

static mml_status
index_names(mml_host *host, mml_names *names, size_t n_slots)
{
	uint32_t   *slots;

	MML_TRY(MML_NEW(host, slots, n_slots));
	mml_release(host, names->slots);
	names->slots = slots;
	names->n_slots = n_slots;
	for (uint32_t i = 0; i < names->n; i++)
		slots[name_slot(names, names->entries[i].name, strlen(names->entries[i].name))] = i + 1;
	return MML_OK;
}

mml_status
mml_names_add(mml_host *host, mml_names *names, const char *name, size_t length, uint32_t *index)
{
	char	   *copy;

	if (length > MML_MAX_NAME || memchr(name, '\0', length) != NULL)
		return mml_fail(host, MML_BAD_DATA, "a domain's name is longer than %d bytes", MML_MAX_NAME);
	if ((size_t) (names->n + 1) * 2 > names->n_slots)
		MML_TRY(index_names(host, names, slots_for((size_t) names->n * 2 + 8)));
	MML_TRY(mml_grow(host, (void **) &names->entries, &names->entries_held, names->n,
					 (size_t) names->n + 1, sizeof(mml_domain)));
	MML_TRY(MML_NEW(host, copy, length + 1));
	memcpy(copy, name, length);
	memset(&names->entries[names->n], 0, sizeof(mml_domain));
	names->entries[names->n].name = copy;
	names->entries[names->n].first_expert = -1;
	names->slots[name_slot(names, name, length)] = names->n + 1;
	*index = names->n++;
	return MML_OK;
}

/* Sorts order: [n] so that the names ascend: merge sort, bottom up. */
static void
sort_by_name(const mml_domain *entries, uint32_t *order, uint32_t *spare, size_t n)
{
	for (size_t run = 1; run < n; run *= 2)
	{
		for (size_t left = 0; left < n; left += 2 * run)
		{
			size_t		middle = MML_MIN(left + run, n);
			size_t		end = MML_MIN(left + 2 * run, n);
			size_t		a = left;
			size_t		b = middle;

			for (size_t to = left; to < end; to++)
			{
				bool		take_a = b >= end ||
					(a < middle && strcmp(entries[order[a]].name, entries[order[b]].name) <= 0);

				spare[to] = take_a ? order[a++] : order[b++];
			}
		}
		memcpy(order, spare, n * sizeof(*order));
	}
}

mml_status
mml_names_settle(mml_host *host, mml_names *names, uint32_t *to_final)
{
	uint32_t	n = 0;
	uint32_t   *order = NULL;
	uint32_t   *spare = NULL;
	mml_domain *sorted = NULL;
	mml_status	status;

	status = MML_NEW(host, order, (size_t) names->n);
	if (status == MML_OK)
		status = MML_NEW(host, spare, (size_t) names->n);
	if (status == MML_OK)
		status = MML_NEW(host, sorted, (size_t) names->n);
	if (status == MML_OK)
	{
		for (uint32_t i = 0; i < names->n; i++)
		{
			to_final[i] = UINT32_MAX;
			if (names->entries[i].rows > 0)
				order[n++] = i;
			else
				mml_release(host, (void *) names->entries[i].name);
		}
		sort_by_name(names->entries, order, spare, n);
		for (uint32_t i = 0; i < n; i++)
		{
			sorted[i] = names->entries[order[i]];
			to_final[order[i]] = i;
		}
		mml_release(host, names->entries);
		names->entries = sorted;
		names->entries_held = names->n;
		names->n = n;
		status = index_names(host, names, slots_for(n));
	}
	mml_release(host, order);
	mml_release(host, spare);
	if (names->entries != sorted)
		mml_release(host, sorted);
	return status;
}

void
mml_names_free(mml_host *host, mml_names *names)
{
	for (uint32_t i = 0; i < names->n; i++)
		mml_release(host, (void *) names->entries[i].name);
	mml_release(host, names->entries);
	mml_release(host, names->slots);
	memset(names, 0, sizeof(*names));
}
