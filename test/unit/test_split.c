/*
 * test_split.c - which rows train and which validate, domains, and that a set
 * of rows does not depend on the order in which they come.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_ROWS 2000

static unit_host unit;

/* A row is known by its value of feature `id`; other rows may be equal to it. */
typedef struct row
{
	int64_t		value;
	double		time;
	bool		has_time;
	mml_split	split;
	char		domain[16];
} row;

static mml_rows *
build(const row *all, size_t n, double validation, int64_t seed, uint64_t order)
{
	mml_field_spec spec = {.name = "id",.kind = MML_CATEGORICAL,.hash_buckets = 1000000};
	mml_config	config;
	mml_rows   *rows;
	uint32_t   *place = malloc(n * sizeof(uint32_t));

	mml_config_init(&config);
	config.validation = validation;
	config.seed = seed;
	(void) mml_rows_create_training(&unit.host, &config, &spec, 1, &rows);
	for (size_t i = 0; i < n; i++)
		place[i] = (uint32_t) i;
	if (order != 0)
		mml_shuffle(order, place, n);
	for (size_t i = 0; i < n; i++)
	{
		const row  *from = &all[place[i]];
		mml_row_facts facts = {
			.label = (double) (from->value % 2),.weight = 1.0,.time = from->time,.has_time = from->has_time,
			.split = from->split,.domain = from->domain,.domain_length = strlen(from->domain)
		};

		(void) mml_rows_begin(rows);
		(void) mml_put_integer(rows, 0, from->value);
		unit_check(mml_rows_end_training(rows, &facts) == MML_OK, "row: %s", unit_error(&unit.host));
	}
	free(place);
	return rows;
}

static mml_rows *
finished(const row *all, size_t n, double validation, int64_t seed, uint64_t order)
{
	mml_rows   *rows = build(all, n, validation, seed, order);

	unit_check(mml_rows_finish(rows) == MML_OK, "finish: %s", unit_error(&unit.host));
	return rows;
}

static row *
draw_rows(size_t n)
{
	row		   *all = calloc(n, sizeof(row));

	for (size_t i = 0; i < n; i++)
	{
		all[i].value = (int64_t) i;
		snprintf(all[i].domain, sizeof(all[i].domain), "d%zu", i % 3);
	}
	return all;
}

static uint32_t
id_of_value(int64_t value)
{
	return MML_ID_FIRST + (uint32_t) (mml_mix(mml_hash_integer(value)) % 1000000);
}

/* How many rows of a value validate. */
static size_t
n_valid_of(const mml_rows *rows, int64_t value)
{
	size_t		n = 0;

	for (size_t i = 0; i < rows->n_rows; i++)
	{
		const uint32_t *record = mml_rows_record(rows, i);

		n += record[rows->fields[0].slot] == id_of_value(value) && record[MML_ROW_SPLIT] == MML_SPLIT_VALID;
	}
	return n;
}

/* ------------------------------------------------------------------ by share */

static bool
validates(const mml_rows *rows, size_t row)
{
	return mml_rows_record(rows, row)[MML_ROW_SPLIT] == MML_SPLIT_VALID;
}

static void
test_share(void)
{
	row		   *all = draw_rows(N_ROWS);
	mml_rows   *half = finished(all, N_ROWS / 2, 0.3, 42, 0);
	mml_rows   *whole = finished(all, N_ROWS, 0.3, 42, 0);
	mml_rows   *other_seed = finished(all, N_ROWS, 0.3, 43, 0);
	mml_rows   *more = finished(all, N_ROWS, 0.6, 42, 0);
	size_t		n_moved = 0;
	size_t		n_differ = 0;
	size_t		n_left = 0;

	unit_check(fabs((double) whole->n_valid / N_ROWS - 0.3) < 5 * sqrt(0.21 / N_ROWS), "%zu validate", whole->n_valid);
	unit_check(whole->n_train + whole->n_valid == N_ROWS, "every row is on one side");
	for (size_t i = 0; i < N_ROWS; i++)
	{
		n_moved += i < N_ROWS / 2 && validates(half, i) != validates(whole, i);
		n_differ += validates(other_seed, i) != validates(whole, i);
		n_left += validates(whole, i) && !validates(more, i);
	}
	unit_check(n_moved == 0, "%zu rows changed sides when rows were added", n_moved);
	unit_check(n_left == 0, "%zu validation rows train with a larger share", n_left);
	unit_check(n_differ > N_ROWS / 4, "another seed is another split: %zu differ", n_differ);
	mml_rows_free(half);
	mml_rows_free(whole);
	mml_rows_free(other_seed);
	mml_rows_free(more);
	free(all);
}

/* What a finished set tells of its rows, in the order pushed. */
static void
test_validates(void)
{
	row		   *all = draw_rows(N_ROWS);
	mml_rows   *rows = finished(all, N_ROWS, 0.3, 42, 0);
	size_t		n_valid = 0;
	size_t		n_wrong = 0;

	for (size_t i = 0; i < N_ROWS; i++)
	{
		float		label = -1.0f;
		int			domain = -1;
		bool		is_valid = mml_rows_validates(rows, i, &label, &domain);

		n_valid += is_valid;
		n_wrong += is_valid != validates(rows, i);
		n_wrong += is_valid ? label != (float) (i % 2) || strcmp(rows->names->entries[domain].name, all[i].domain) != 0 :
			label != -1.0f || domain != -1;
	}
	unit_check(n_valid == rows->n_valid, "%zu of %zu validate", n_valid, rows->n_valid);
	unit_check(n_wrong == 0, "%zu rows are told wrongly", n_wrong);
	mml_rows_free(rows);
	free(all);
}

static void
test_no_share(void)
{
	row		   *all = draw_rows(50);
	mml_rows   *rows = finished(all, 50, 0.0, 42, 0);

	unit_check(rows->n_train == 50 && rows->n_valid == 0, "validation 0: all train");
	mml_rows_free(rows);
	for (size_t i = 0; i < 50; i++)
		all[i].split = MML_SPLIT_VALID;
	rows = build(all, 50, 0.1, 42, 0);
	unit_check(mml_rows_finish(rows) == MML_BAD_DATA, "only validation rows");
	unit_check(strstr(unit.host.error.detail, "50") != NULL, "the detail says how many: %s", unit.host.error.detail);
	mml_rows_free(rows);
	free(all);
}

/* Equal rows fall on both sides by the share, the same number in any order. */
static void
test_duplicates(void)
{
	row		   *all = draw_rows(N_ROWS);
	mml_rows   *rows;
	mml_rows   *shuffled;
	size_t		n_differ = 0;

	for (size_t i = 0; i < N_ROWS; i++)
	{
		all[i].value = (int64_t) (i / 2 % 20);
		strcpy(all[i].domain, "d");
		/* among equal rows some have a side of their own */
		all[i].split = i % 8 == 0 ? MML_SPLIT_VALID : i % 8 == 3 ? MML_SPLIT_TRAIN : MML_SPLIT_AUTO;
	}
	rows = finished(all, N_ROWS, 0.3, 42, 0);
	shuffled = finished(all, N_ROWS, 0.3, 42, 99);
	for (int64_t value = 0; value < 20; value++)
		n_differ += n_valid_of(rows, value) != n_valid_of(shuffled, value);
	unit_check(n_differ == 0, "%zu of 20 values: the split of equal rows depends on their order", n_differ);
	unit_check(fabs((double) rows->n_valid / N_ROWS - (0.125 + 0.75 * 0.3)) < 0.05, "%zu of %d validate",
			   rows->n_valid, N_ROWS);
	mml_rows_free(rows);
	mml_rows_free(shuffled);
	free(all);
}

/* ------------------------------------------------------------------- by time */

static void
test_time(void)
{
	row		   *all = draw_rows(100);
	mml_rows   *rows;
	size_t		n_wrong = 0;

	for (size_t i = 0; i < 100; i++)
	{
		all[i].has_time = true;
		all[i].time = -1e6 + (double) ((i * 37) % 100) * 1000.5;	/* each place in time once */
	}
	rows = finished(all, 100, 0.2, 42, 5);
	unit_check(rows->n_valid == 20, "a fifth of 100 rows validates: %zu", rows->n_valid);
	for (size_t i = 0; i < 100; i++)
		n_wrong += n_valid_of(rows, all[i].value) != ((i * 37) % 100 >= 80);
	unit_check(n_wrong == 0, "the newest fifth validates: %zu rows are wrong", n_wrong);
	mml_rows_free(rows);
	/* rows as old as the newest training row train too: 10 rows at each time */
	for (size_t i = 0; i < 100; i++)
		all[i].time = (double) (i / 10);
	rows = finished(all, 100, 0.25, 42, 6);
	unit_check(rows->n_valid == 20, "ties go to training: %zu of 100 validate, not 25", rows->n_valid);
	mml_rows_free(rows);
	for (size_t i = 0; i < 100; i++)
		all[i].time = 3.0;
	rows = finished(all, 100, 0.25, 42, 6);
	unit_check(rows->n_valid == 0 && rows->n_train == 100, "one time for all: none validates");
	mml_rows_free(rows);
	free(all);
}

static void
test_explicit(void)
{
	row		   *all = draw_rows(300);
	mml_rows   *rows;
	size_t		n_wrong = 0;

	for (size_t i = 0; i < 300; i++)
		all[i].split = i % 4 == 0 ? MML_SPLIT_VALID : MML_SPLIT_TRAIN;
	rows = finished(all, 300, 0.9, 42, 8);
	for (size_t i = 0; i < 300; i++)
		n_wrong += n_valid_of(rows, all[i].value) != (i % 4 == 0);
	unit_check(n_wrong == 0 && rows->n_valid == 75, "a given side is kept: %zu rows are wrong", n_wrong);
	mml_rows_free(rows);
	free(all);
}

/* ------------------------------------------------------------------- domains */

static void
test_domains(void)
{
	size_t		n = 12000;
	row		   *all = draw_rows(n);
	mml_rows   *rows;
	size_t		n_wrong = 0;

	/* 3000 domains of 3 training rows and one that validates; d0 .. d9 only validate */
	for (size_t i = 0; i < n; i++)
	{
		snprintf(all[i].domain, sizeof(all[i].domain), "d%zu", i / 4);
		all[i].split = i % 4 == 0 || i < 40 ? MML_SPLIT_VALID : MML_SPLIT_TRAIN;
	}
	rows = finished(all, n, 0.1, 42, 0);
	unit_check(rows->names->n == 2990, "%u domains are known", rows->names->n);
	for (size_t i = 0; i < n; i++)
	{
		uint32_t	id = mml_rows_record(rows, i)[MML_ROW_DOMAIN];

		if (i < 40)
			n_wrong += id != 0;
		else
			n_wrong += id < 1 || id > rows->names->n || strcmp(rows->names->entries[id - 1].name, all[i].domain) != 0;
	}
	for (uint32_t d = 0; d < rows->names->n; d++)
	{
		const mml_domain *domain = &rows->names->entries[d];

		/* of four rows in a row, two have label 1 */
		n_wrong += domain->rows != 4 || domain->valid_rows != 1 || domain->positives != 2;
		n_wrong += d > 0 && strcmp(rows->names->entries[d - 1].name, domain->name) >= 0;
	}
	unit_check(n_wrong == 0, "domains: %zu wrong", n_wrong);
	unit_check(rows->fields[1].table_rows == 2991, "rows of embedding.domain: %u", rows->fields[1].table_rows);
	mml_rows_free(rows);
	free(all);
}

static void
test_experts(void)
{
	row		   *all = draw_rows(60);
	mml_config	config;
	mml_rows   *rows;

	/* d0: 10 rows, d1: 20, d2: 30, all training */
	for (size_t i = 0; i < 60; i++)
		snprintf(all[i].domain, sizeof(all[i].domain), "d%d", i < 10 ? 0 : i < 30 ? 1 : 2);
	rows = finished(all, 60, 0.0, 42, 3);
	mml_config_init(&config);
	config.min_domain_rows = 20;
	config.experts_per_domain = 2;
	unit_check(mml_rows_assign_experts(rows, &config) == MML_OK && rows->n_experts == 4, "%d experts", rows->n_experts);
	unit_check(rows->domain_expert[0] == -1 && rows->domain_expert[1] == -1 && rows->domain_expert[2] == 0 &&
			   rows->domain_expert[3] == 2, "which domain has which experts");
	config.method = MML_BACKBONE;
	unit_check(mml_rows_assign_experts(rows, &config) == MML_OK && rows->n_experts == 0, "a backbone has no experts");
	mml_rows_free(rows);
	free(all);
}

/* --------------------------------------------------------------------- order */

/* The rows of the final order, value by value, must not depend on arrival. */
static void
test_canonical_order(void)
{
	row		   *all = draw_rows(N_ROWS);
	mml_rows   *rows;
	mml_rows   *shuffled;
	size_t		n_wrong = 0;

	for (size_t i = 0; i < N_ROWS; i++)
		all[i].value = (int64_t) (i % 700);		/* equal rows too */
	rows = finished(all, N_ROWS, 0.3, 42, 0);
	shuffled = finished(all, N_ROWS, 0.3, 42, 17);
	unit_check(rows->n_train == shuffled->n_train, "as many rows train");
	for (size_t i = 0; i < N_ROWS; i++)
	{
		const uint32_t *a = mml_rows_record(rows, rows->order[i]);
		const uint32_t *b = mml_rows_record(shuffled, shuffled->order[i]);

		n_wrong += memcmp(a, b, rows->row_words * sizeof(uint32_t)) != 0;
		n_wrong += a[MML_ROW_SPLIT] != (i < rows->n_train ? MML_SPLIT_TRAIN : MML_SPLIT_VALID);
		/* validation rows lie by domain */
		if (i > rows->n_train)
			n_wrong += a[MML_ROW_DOMAIN] < mml_rows_record(rows, rows->order[i - 1])[MML_ROW_DOMAIN];
	}
	unit_check(n_wrong == 0, "%zu places differ", n_wrong);
	mml_rows_free(rows);
	mml_rows_free(shuffled);
	free(all);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_share();
	test_validates();
	test_no_share();
	test_duplicates();
	test_time();
	test_explicit();
	test_domains();
	test_experts();
	test_canonical_order();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
