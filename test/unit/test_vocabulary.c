/*
 * test_vocabulary.c - values to ids and domains to indexes, by themselves and
 * in a set of rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

/* ------------------------------------------------------------- vocabularies */

/* Learns hashes: [n] by `step` through them, as if rows came in another order; keeps those with even index. */
static void
learn_and_freeze(mml_vocabulary *vocabulary, const uint64_t *hashes, uint32_t n, uint32_t step, uint32_t min_count)
{
	uint32_t   *counts = calloc(n + 1, sizeof(uint32_t));
	uint32_t   *to_final = calloc(n + 1, sizeof(uint32_t));
	bool		is_right = true;

	memset(vocabulary, 0, sizeof(*vocabulary));
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	which = (uint32_t) ((uint64_t) i * step % n);
		uint32_t	id = 0;
		uint32_t	again = 0;

		is_right = is_right && mml_vocabulary_learn(&unit.host, vocabulary, hashes[which], &id) == MML_OK;
		is_right = is_right && mml_vocabulary_learn(&unit.host, vocabulary, hashes[which], &again) == MML_OK;
		is_right = is_right && id == i + MML_ID_FIRST && again == id;
		counts[i] = which % 2 == 0 ? 3 : 2;
	}
	unit_check(is_right && vocabulary->n == n, "learning %u values in order of arrival", n);
	unit_check(mml_vocabulary_freeze(&unit.host, vocabulary, counts, min_count, to_final) == MML_OK, "freeze of %u", n);
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	which = (uint32_t) ((uint64_t) i * step % n);

		is_right = is_right && to_final[i] == mml_vocabulary_find(vocabulary, hashes[which]);
		is_right = is_right && (to_final[i] != MML_ID_UNKNOWN) == (counts[i] >= min_count);
	}
	unit_check(is_right, "%u values keep their ids through freezing", n);
	free(counts);
	free(to_final);
}

static void
check_frozen(const mml_vocabulary *vocabulary, const uint64_t *hashes, uint32_t n, uint32_t expected)
{
	bool		ascends = true;
	size_t		n_found = 0;

	for (uint32_t i = 0; i < vocabulary->n; i++)
	{
		ascends = ascends && (i == 0 || vocabulary->hashes[i - 1] < vocabulary->hashes[i]);
		ascends = ascends && mml_vocabulary_find(vocabulary, vocabulary->hashes[i]) == i + MML_ID_FIRST;
	}
	unit_check(ascends, "ids follow the hashes");
	unit_check(vocabulary->n == expected, "%u values are kept, not %u", vocabulary->n, expected);
	for (uint32_t i = 0; i < n; i++)
		n_found += mml_vocabulary_find(vocabulary, hashes[i] + 1) != MML_ID_UNKNOWN;
	unit_check(n_found == 0, "%zu values are found that nobody learned", n_found);
	unit_check(mml_vocabulary_find(vocabulary, UINT64_MAX) == MML_ID_UNKNOWN, "the largest hash is unknown");
}

/* kind 0: as hashes are; 1: equal low bits (slots collide); 2: equal high bits (buckets collide). */
static void
test_vocabulary(uint32_t n, int kind)
{
	uint64_t   *hashes = malloc((n + 1) * sizeof(uint64_t));
	mml_vocabulary forward;
	mml_vocabulary other;

	for (uint32_t i = 0; i < n; i++)
		hashes[i] = kind == 0 ? mml_mix(i + 1) & ~(uint64_t) 1 :
			kind == 1 ? (uint64_t) (i + 1) << 40 : (uint64_t) i * 2;
	learn_and_freeze(&forward, hashes, n, 1, 1);
	check_frozen(&forward, hashes, n, n);
	learn_and_freeze(&other, hashes, n, 7, 1);
	unit_check(forward.n == other.n && memcmp(forward.hashes, other.hashes, forward.n * sizeof(uint64_t)) == 0,
			   "%u values of kind %d get the same ids in another order", n, kind);
	mml_vocabulary_free(&unit.host, &forward);
	mml_vocabulary_free(&unit.host, &other);
	learn_and_freeze(&other, hashes, n, 1, 3);
	check_frozen(&other, hashes, n, (n + 1) / 2);
	mml_vocabulary_free(&unit.host, &other);
	learn_and_freeze(&other, hashes, n, 1, 4);
	check_frozen(&other, hashes, n, 0);
	mml_vocabulary_free(&unit.host, &other);
	free(hashes);
}

/* ----------------------------------------------------------------- domains */

static void
name_of(uint32_t i, char *name)
{
	sprintf(name, "domain %u", (i * 7919) % 100003);
}

static void
test_many_names(void)
{
	mml_names	names = {0};
	uint32_t   *to_final = malloc(5000 * sizeof(uint32_t));
	char		name[64];
	bool		is_right = true;

	for (uint32_t i = 0; i < 5000; i++)
	{
		uint32_t	index;

		name_of(i, name);
		is_right = is_right && mml_names_find(&names, name, strlen(name)) == -1;
		is_right = is_right && mml_names_add(&unit.host, &names, name, strlen(name), &index) == MML_OK && index == i;
		names.entries[i].rows = i % 3;	/* every third one had no training rows */
	}
	unit_check(is_right, "5000 names get indexes in order of arrival");
	unit_check(mml_names_settle(&unit.host, &names, to_final) == MML_OK, "settle");
	for (uint32_t i = 0; i < 5000; i++)
	{
		int64_t		found;

		name_of(i, name);
		found = mml_names_find(&names, name, strlen(name));
		is_right = is_right && found == (i % 3 == 0 ? -1 : (int64_t) to_final[i]);
		is_right = is_right && (i % 3 != 0 || to_final[i] == UINT32_MAX);
	}
	for (uint32_t i = 1; i < names.n; i++)
		is_right = is_right && strcmp(names.entries[i - 1].name, names.entries[i].name) < 0;
	unit_check(is_right && names.n == 3333, "names with rows are sorted and found, the others gone");
	mml_names_free(&unit.host, &names);
	free(to_final);
}

static void
test_odd_names(void)
{
	mml_names	names = {0};
	char		longest[MML_MAX_NAME + 2];
	uint32_t	index;

	memset(longest, 'x', sizeof(longest));
	unit_check(mml_names_add(&unit.host, &names, "", 0, &index) == MML_OK, "the empty text is a name");
	unit_check(mml_names_add(&unit.host, &names, "\xc3\xa4\xc3\xb6", 4, &index) == MML_OK, "any bytes are a name");
	unit_check(mml_names_add(&unit.host, &names, longest, MML_MAX_NAME, &index) == MML_OK, "the longest name");
	unit_check(mml_names_find(&names, longest, MML_MAX_NAME) == 2, "the longest name is found");
	unit_check(mml_names_find(&names, longest, MML_MAX_NAME - 1) == -1, "a shorter one is another");
	unit_check(mml_names_find(&names, "", 0) == 0, "the empty name is found");
	unit_check(mml_names_find(&names, "\xc3\xa4", 2) == -1, "half a name is another");
	unit_check(mml_names_add(&unit.host, &names, longest, MML_MAX_NAME + 1, &index) == MML_BAD_DATA, "a name too long");
	unit_check(mml_names_add(&unit.host, &names, "a\0b", 3, &index) == MML_BAD_DATA, "a name with a zero byte");
	mml_names_free(&unit.host, &names);
}

/* Names that begin alike: the one looked for must not be taken for a longer one that lies in its way. */
static void
test_prefixes(void)
{
	mml_names	names = {0};
	char		name[MML_MAX_NAME + 1];
	uint32_t	index;
	size_t		n_wrong = 0;

	memset(name, 'x', sizeof(name));
	for (size_t length = 1; length < MML_MAX_NAME; length += 2)
		n_wrong += mml_names_add(&unit.host, &names, name, length, &index) != MML_OK;
	for (size_t length = 1; length < MML_MAX_NAME; length++)
		n_wrong += mml_names_find(&names, name, length) != (length % 2 == 0 ? -1 : (int64_t) (length / 2));
	unit_check(n_wrong == 0, "%zu of names that begin alike", n_wrong);
	mml_names_free(&unit.host, &names);
}

/* ----------------------------------------------------------------- in rows */

/* Ids of values of a set of rows, one categorical feature: value i of `split`, in an order. */
static mml_rows *
rows_of(mml_config *config, uint64_t order, uint32_t hash_buckets)
{
	mml_field_spec spec = {.name = "value",.kind = MML_CATEGORICAL,.hash_buckets = hash_buckets};
	mml_rows   *rows;
	uint32_t	place[60];

	(void) mml_rows_create_training(&unit.host, config, &spec, 1, &rows);
	for (uint32_t i = 0; i < 60; i++)
		place[i] = i;
	mml_shuffle(order, place, 60);
	for (uint32_t i = 0; i < 60; i++)
	{
		/* values 0..9 six times: value 9 in validation rows only, value 8 once in training */
		uint32_t	value = place[i] / 6;
		mml_row_facts facts = {.label = place[i] % 2,.weight = 1.0,.domain = "d",.domain_length = 1};
		char		text[16];

		facts.split = value == 9 || (value == 8 && place[i] % 6 != 0) ? MML_SPLIT_VALID : MML_SPLIT_TRAIN;
		(void) mml_rows_begin(rows);
		snprintf(text, sizeof(text), "%u", value);
		if (value == 7)
			(void) mml_put_null(rows, 0);
		else if (place[i] % 2 == 0)
			(void) mml_put_integer(rows, 0, value);
		else
			(void) mml_put_text(rows, 0, text, strlen(text));
		(void) mml_rows_end_training(rows, &facts);
	}
	unit_check(mml_rows_finish(rows) == MML_OK, "finish: %s", unit_error(&unit.host));
	return rows;
}

/* The id that every row of a value has; UINT32_MAX when they differ.  Rows come by `order`. */
static uint32_t
id_of_value(const mml_rows *rows, uint64_t order, uint32_t value)
{
	uint32_t	place[60];
	uint32_t	id = UINT32_MAX - 1;

	for (uint32_t i = 0; i < 60; i++)
		place[i] = i;
	mml_shuffle(order, place, 60);
	for (uint32_t i = 0; i < 60; i++)
		if (place[i] / 6 == value)
		{
			uint32_t	now = mml_rows_record(rows, i)[rows->fields[0].slot];

			id = id == UINT32_MAX - 1 || id == now ? now : UINT32_MAX;
		}
	return id;
}

static void
test_ids_in_rows(void)
{
	mml_config	config;
	mml_rows   *rows;
	mml_rows   *others;
	uint32_t	seen = 0;

	mml_config_init(&config);
	rows = rows_of(&config, 1, 0);
	others = rows_of(&config, 2, 0);
	unit_check(rows->fields[0].table_rows == MML_ID_FIRST + 8, "8 values in training rows, %u rows",
			   rows->fields[0].table_rows);
	for (uint32_t value = 0; value < 10; value++)
	{
		uint32_t	id = id_of_value(rows, 1, value);

		unit_check(id == id_of_value(others, 2, value), "value %u: the same id in any order", value);
		if (value == 9)
			unit_check(id == MML_ID_UNKNOWN, "a value of validation rows alone is unknown");
		else if (value == 7)
			unit_check(id == MML_ID_NULL, "NULL has an id of its own");
		else
			unit_check(id >= MML_ID_FIRST && id < MML_ID_FIRST + 8 && !(seen >> id & 1), "value %u: id %u", value, id);
		seen |= 1u << (id & 31);
	}
	mml_rows_free(rows);
	mml_rows_free(others);
	config.min_count = 2;
	rows = rows_of(&config, 3, 0);
	unit_check(id_of_value(rows, 3, 8) == MML_ID_UNKNOWN, "a value that trains once is unknown with min_count 2");
	unit_check(id_of_value(rows, 3, 0) >= MML_ID_FIRST, "one that trains six times is not");
	mml_rows_free(rows);
}

static void
test_hash_buckets(void)
{
	mml_config	config;
	mml_rows   *rows;

	mml_config_init(&config);
	config.min_count = 1000;	/* counts for vocabularies only */
	rows = rows_of(&config, 1, 5);
	unit_check(rows->fields[0].table_rows == MML_ID_FIRST + 5, "5 buckets, %u rows", rows->fields[0].table_rows);
	for (uint32_t value = 0; value < 10; value++)
	{
		uint32_t	id = id_of_value(rows, 1, value);

		if (value == 7)
			unit_check(id == MML_ID_NULL, "NULL is in no bucket");
		else
			unit_check(id >= MML_ID_FIRST && id < MML_ID_FIRST + 5, "value %u: bucket's id %u", value, id);
	}
	mml_rows_free(rows);
}

int
main(void)
{
	static const uint32_t sizes[] = {1, 2, 3, 17, 1000, 100000};

	mml_init();
	unit_host_init(&unit);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int kind = 0; kind < 3; kind++)
			if (kind == 0 || sizes[i] <= 1000)
				test_vocabulary(sizes[i], kind);
	test_many_names();
	test_odd_names();
	test_prefixes();
	test_ids_in_rows();
	test_hash_buckets();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
