/*
 * test_rows_merge.c - rows that were read in parts, by sets that know nothing of
 * each other, and joined as bytes: the model is bitwise that of one set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_PARTS 5

static unit_host unit;

static mml_status
write_bytes(void *self, const void *bytes, size_t n)
{
	unit_bytes *to = self;

	if (to->n + n > to->held)
	{
		to->held = 2 * (to->n + n);
		to->at = realloc(to->at, to->held);
	}
	memcpy(to->at + to->n, bytes, n);
	to->n += n;
	return MML_OK;
}

static mml_status
read_bytes(void *self, void *bytes, size_t n)
{
	unit_bytes *from = self;

	if (!unit_check(n <= from->n - from->next, "%zu bytes are read, %zu are left", n, from->n - from->next))
		return MML_BAD_DATA;
	memcpy(bytes, from->at + from->next, n);
	from->next += n;
	return MML_OK;
}

/* The rows i of the data with i mod n_parts = part, as bytes.  Part n_parts - 1 of 5 has none. */
static void
write_part(const mml_config *config, const unit_data *data, size_t part, size_t n_parts, unit_bytes *bytes)
{
	mml_writer	writer = {.self = bytes,.write = write_bytes};
	mml_rows   *rows;

	memset(bytes, 0, sizeof(*bytes));
	unit_check(unit_open_rows(&unit.host, config, data, &rows) == MML_OK, "open: %s", unit_error(&unit.host));
	for (size_t i = part; i < data->n_rows; i += n_parts)
		unit_check(unit_push_training(rows, data, i) == MML_OK, "push: %s", unit_error(&unit.host));
	unit_check(mml_rows_write(rows, &writer) == MML_OK, "write: %s", unit_error(&unit.host));
	mml_rows_free(rows);
}

static mml_status
read_part(mml_host *host, const mml_config *config, const unit_bytes *bytes, mml_rows **rows)
{
	unit_bytes	from = *bytes;
	mml_reader	reader = {.self = &from,.total = bytes->n,.read = read_bytes};
	mml_status	status;

	from.next = 0;
	status = mml_rows_read(host, config, &reader, rows);
	unit_check(status != MML_OK || from.next == from.n, "%zu of %zu bytes are read", from.next, from.n);
	return status;
}

/* Trains on the parts together; bytes: of the model. */
static void
train_parts(const mml_config *config, const unit_bytes *parts, size_t n_parts, unit_bytes *bytes)
{
	mml_rows   *rows = NULL;
	mml_model  *model;

	memset(bytes, 0, sizeof(*bytes));
	for (size_t i = 0; i < n_parts; i++)
		unit_check(read_part(&unit.host, config, &parts[i], &rows) == MML_OK, "read: %s", unit_error(&unit.host));
	if (unit_check(mml_rows_finish(rows) == MML_OK && mml_train(&unit.host, rows, config, &model) == MML_OK, "train: %s",
				   unit_error(&unit.host)))
	{
		unit_check(unit_save(&unit.host, model, bytes) == MML_OK, "save: %s", unit_error(&unit.host));
		mml_model_free(model);
	}
	mml_rows_free(rows);
}

static void
check_parts(const char *what, const mml_config *config, const unit_data *data)
{
	unit_bytes	parts[MAX_PARTS];
	unit_bytes	whole;
	unit_bytes	joined;

	unit_train_and_save(&unit, what, config, data, 0, &whole);
	for (size_t n = 1; n <= MAX_PARTS; n++)
	{
		for (size_t part = 0; part < n; part++)
			write_part(config, data, part, n, &parts[n - 1 - part]);
		train_parts(config, parts, n, &joined);
		unit_check(unit_same_bytes(&whole, &joined), "%s: %zu parts", what, n);
		unit_bytes_free(&joined);
		for (size_t part = 0; part < n; part++)
			unit_bytes_free(&parts[part]);
	}
	unit_bytes_free(&whole);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

/* Parts without rows, before and after those with rows. */
static void
check_empty(const mml_config *config, const unit_data *data)
{
	unit_data	none = *data;
	unit_bytes	parts[3];
	unit_bytes	whole;
	unit_bytes	joined;

	none.n_rows = 0;
	unit_train_and_save(&unit, "empty parts", config, data, 0, &whole);
	write_part(config, &none, 0, 1, &parts[0]);
	write_part(config, data, 0, 1, &parts[1]);
	write_part(config, &none, 0, 1, &parts[2]);
	train_parts(config, parts, 3, &joined);
	unit_check(unit_same_bytes(&whole, &joined), "empty parts");
	unit_bytes_free(&joined);
	unit_bytes_free(&whole);
	for (int i = 0; i < 3; i++)
		unit_bytes_free(&parts[i]);
}

/* Rows that cannot be together. */
static void
check_refused(const mml_config *config, const unit_data *data)
{
	unit_data	other = *data;
	unit_bytes	parts[4];
	mml_rows   *rows = NULL;

	write_part(config, data, 0, 2, &parts[0]);
	other.features = data->features & ~(uint32_t) UNIT_TAGS;
	write_part(config, &other, 1, 2, &parts[1]);
	other.features = data->features ^ UNIT_HASH;
	write_part(config, &other, 1, 2, &parts[2]);
	other = *data;
	other.has_times = true;
	write_part(config, &other, 1, 2, &parts[3]);
	for (int i = 1; i < 4; i++)
	{
		mml_status	status;

		unit_check(read_part(&unit.host, config, &parts[0], &rows) == MML_OK, "first: %s", unit_error(&unit.host));
		status = read_part(&unit.host, config, &parts[i], &rows);
		unit_check(status == MML_BAD_DATA && strstr(unit_error(&unit.host), i < 3 ? "different names or types" : "have a time"),
				   "part %d: status %d, %s", i, status, unit_error(&unit.host));
		mml_rows_free(rows);
		rows = NULL;
	}
	for (int i = 0; i < 4; i++)
		unit_bytes_free(&parts[i]);
}

/* A set with one feature. */
static mml_rows *
open_one(const mml_config *config, const mml_field_spec *spec)
{
	mml_rows   *rows;

	unit_check(mml_rows_create_training(&unit.host, config, spec, 1, &rows) == MML_OK, "one: %s", unit_error(&unit.host));
	return rows;
}

/* Whether rows of one feature can be read into a set with another. */
static bool
can_join(const mml_config *config, const mml_field_spec *a, const mml_field_spec *b)
{
	unit_bytes	bytes = {0};
	mml_writer	writer = {.self = &bytes,.write = write_bytes};
	mml_rows   *from = open_one(config, a);
	mml_rows   *to = open_one(config, b);
	bool		can;

	unit_check(mml_rows_write(from, &writer) == MML_OK, "write: %s", unit_error(&unit.host));
	can = read_part(&unit.host, config, &bytes, &to) == MML_OK;
	mml_rows_free(from);
	mml_rows_free(to);
	unit_bytes_free(&bytes);
	return can;
}

/* Everything that a feature is must be the same. */
static void
check_features(const mml_config *config)
{
	static const double two[] = {1.0, 2.0};
	static const double other[] = {1.0, 3.0};
	const mml_field_spec number = {.name = "x",.kind = MML_NUMERIC,.standardize = true};
	const mml_field_spec numbers[] = {
		{.name = "y",.kind = MML_NUMERIC,.standardize = true},
		{.name = "x",.kind = MML_CATEGORICAL,.standardize = true},
		{.name = "x",.kind = MML_NUMERIC},
		{.name = "x",.kind = MML_NUMERIC,.standardize = true,.log1p = true},
	};
	const mml_field_spec bucket = {.name = "x",.kind = MML_CATEGORICAL,.boundaries = two,.n_boundaries = 2};
	const mml_field_spec buckets[] = {
		{.name = "x",.kind = MML_CATEGORICAL,.boundaries = other,.n_boundaries = 2},
		{.name = "x",.kind = MML_CATEGORICAL,.boundaries = two,.n_boundaries = 1},
		{.name = "x",.kind = MML_CATEGORICAL,.boundaries = two,.n_boundaries = 2,.hash_buckets = 9},
	};
	const mml_field_spec vector = {.name = "x",.kind = MML_VECTOR,.project = true};
	const mml_field_spec plain = {.name = "x",.kind = MML_VECTOR};

	unit_check(can_join(config, &number, &number), "the same number");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		unit_check(!can_join(config, &number, &numbers[i]), "number %zu is another", i);
	unit_check(can_join(config, &bucket, &bucket), "the same buckets");
	for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++)
		unit_check(!can_join(config, &bucket, &buckets[i]), "bucket %zu is another", i);
	unit_check(can_join(config, &vector, &vector) && !can_join(config, &vector, &plain), "vectors");
}

/* Every allocation fails once. */
static void
check_failures(const mml_config *config, const unit_data *data)
{
	unit_bytes	parts[2];
	bool		has_ended = false;

	write_part(config, data, 0, 2, &parts[0]);
	write_part(config, data, 1, 2, &parts[1]);
	for (long at = 1; !has_ended; at++)
	{
		unit_host	frail;
		mml_rows   *rows = NULL;
		mml_status	status;

		unit_host_init(&frail);
		frail.fails_at = at;
		status = read_part(&frail.host, config, &parts[0], &rows);
		if (status == MML_OK)
			status = read_part(&frail.host, config, &parts[1], &rows);
		has_ended = status == MML_OK;
		unit_check(has_ended || status == MML_OUT_OF_MEMORY, "allocation %ld: status %d", at, status);
		mml_rows_free(rows);
		unit_check(frail.n_held == 0, "allocation %ld: %ld pieces are kept", at, frail.n_held);
	}
	unit_bytes_free(&parts[0]);
	unit_bytes_free(&parts[1]);
}

int
main(void)
{
	mml_config	config;
	unit_data	data;

	mml_init();
	unit_host_init(&unit);
	unit_config_init(&config);
	unit_data_init(&data);
	config.epochs = 2;
	check_parts("all kinds", &config, &data);
	check_empty(&config, &data);
	check_refused(&config, &data);
	check_features(&config);
	check_failures(&config, &data);
	data.features |= UNIT_AGE | UNIT_HASH;
	data.has_weights = true;
	data.has_times = true;
	check_parts("buckets, hashes, weights and times", &config, &data);
	data.features = 0;
	data.has_times = false;
	data.n_valid = 100;
	check_parts("categories alone, split by hand", &config, &data);
	return unit_done();
}
