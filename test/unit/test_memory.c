/*
 * test_memory.c - the whole way from rows to scores while memory runs out: at
 * every single allocation, and at limits that grow until it is enough; the same
 * for warm starts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_bytes previous;		/* what the warm starts go on from */

static void
open_case(mml_config *config, unit_data *data, const char *recipe, const char *gate)
{
	unit_config_init(config);
	unit_data_init(data);
	data->n_rows = 150;
	data->has_weights = true;
	config->epochs = 1;
	config->min_domain_rows = 10;
	config->finetune = 1;
	config->expert_diversity = 0.1;
	(void) unit_set(config, "recipe", recipe);
	(void) unit_set(config, "gate", gate);
	data->previous = previous.n > 0 ? &previous : NULL;
}

/* From now on every case is a warm start, from a version of other rows. */
static void
train_previous(const char *gate, size_t n_rows)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;

	open_case(&config, &data, "gated", gate);
	data.n_rows = n_rows;
	unit_second_night(&data, NULL);
	unit_host_init(&unit);
	unit_train_and_save(&unit, "another night", &config, &data, 0, &previous);
}

/* Each allocation in turn is the first that fails, and all after it. */
static void
test_every_allocation(const char *recipe, const char *gate, const char *backbone)
{
	mml_config	config;
	unit_data	data;
	mml_status	status = MML_OUT_OF_MEMORY;
	long		n = 0;

	open_case(&config, &data, recipe, gate);
	(void) unit_set(&config, "backbone", backbone);
	data.has_times = strcmp(recipe, "joint") == 0;
	while (status != MML_OK && n < 5000)
	{
		unit_host	unit;

		unit_host_init(&unit);
		unit.fails_at = ++n;
		status = unit_whole_way(&unit.host, &config, &data);
		unit_check(status == MML_OK || status == MML_OUT_OF_MEMORY, "allocation %ld fails: status %d, %s", n, status,
				   unit_error(&unit.host));
		unit_check(status == MML_OK || strcmp(unit_error(&unit.host), "out of memory") == 0, "allocation %ld: \"%s\"",
				   n, unit_error(&unit.host));
		unit_check(unit.n_held == 0 && unit.host.memory_used == 0,
				   "allocation %ld fails: %ld pieces are kept, %zu bytes", n, unit.n_held, unit.host.memory_used);
	}
	unit_check(n > 100 && n < 5000, "success with %ld allocations", n);
}

/* Two numbers with a unit, the first larger: what is needed and what is allowed. */
static bool
says_both(const char *detail)
{
	const char *first = strpbrk(detail, "0123456789");
	const char *second = first == NULL ? NULL : strpbrk(first + strspn(first, "0123456789"), "0123456789");

	return second != NULL && strtoul(first, NULL, 10) >= strtoul(second, NULL, 10) &&
		(strstr(first, "kB") != NULL || strstr(first, "MB") != NULL);
}

/* The least limit that is enough, between one that is not and one that is. */
static size_t
least_enough(const mml_config *config, const unit_data *data, size_t too_little, size_t enough)
{
	while (enough - too_little > 1024)
	{
		size_t		middle = (too_little + enough) / 2;
		unit_host	unit;

		unit_host_init(&unit);
		unit.host.memory_limit = middle;
		if (unit_whole_way(&unit.host, config, data) == MML_OK)
			enough = middle;
		else
			too_little = middle;
	}
	return enough;
}

/* From too little to more than plenty; once it was enough, more must be enough as well. */
static void
test_growing_limit(const char *recipe, size_t n_rows)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	size_t		enough = 0;
	size_t		most;

	open_case(&config, &data, recipe, "domain");
	data.n_rows = n_rows;
	unit_host_init(&unit);
	unit_check(unit_whole_way(&unit.host, &config, &data) == MML_OK, "without a limit: %s", unit_error(&unit.host));
	most = unit.most_used;
	for (size_t limit = 1024; limit < 3 * most; limit += limit / 16)
	{
		mml_status	status;

		unit_host_init(&unit);
		unit.host.memory_limit = limit;
		status = unit_whole_way(&unit.host, &config, &data);
		unit_check(unit.most_used <= limit, "limit %zu: %zu are taken", limit, unit.most_used);
		unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "limit %zu: %ld pieces are kept", limit,
				   unit.n_held);
		if (status == MML_OK)
		{
			enough = enough == 0 ? limit : enough;
			continue;
		}
		unit_check(status == MML_LIMIT, "limit %zu: status %d, %s", limit, status, unit_error(&unit.host));
		unit_check(says_both(unit.host.error.detail), "limit %zu: \"%s\" \"%s\"", limit, unit_error(&unit.host),
				   unit.host.error.detail);
		unit_check(enough == 0, "limit %zu was enough, %zu is not: %s", enough, limit, unit.host.error.detail);
	}
	if (enough > 0)
		enough = least_enough(&config, &data, enough - enough / 16, enough);
	unit_check(enough > 0 && enough <= most + most / 16 + MML_ARENA_FIRST_BLOCK,
			   "%zu are taken without a limit, %zu are asked for", most, enough);
}

/* Where tables are large: a limit that is too low by a hair fails before the first epoch, not after the last. */
static void
test_fails_before_it_trains(const char *recipe, const char *method)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	size_t		too_little = 1 << 20;
	size_t		enough = 16 << 20;
	size_t		taken = 0;

	open_case(&config, &data, recipe, "domain");
	(void) unit_set(&config, "method", method);
	config.finetune = 0;
	config.expert_diversity = 0.0;
	config.embedding_dim = 32;
	data.n_users = 1000;
	data.n_rows = 1500;
	while (enough - too_little > 4096)
	{
		size_t		limit = (too_little + enough) / 2;
		mml_model  *model = NULL;

		unit_host_init(&unit);
		unit.host.memory_limit = limit;
		if (unit_train(&unit.host, &config, &data, 0, &model) == MML_OK)
		{
			enough = limit;
			taken = unit.most_used;
		}
		else
			too_little = limit;
		unit_check(model != NULL || unit.n_epochs == 0, "%s, limit %zu: it fails after %ld epochs: %s", method, limit,
				   unit.n_epochs, unit.host.error.detail);
		mml_model_free(model);
	}
	unit_check(taken > enough - enough / 16 - MML_ARENA_FIRST_BLOCK, "%s: %zu of %zu bytes asked for are taken", method,
			   taken, enough);
}

/* What the error says of a feature of many values: while they come in, and when the rows are there. */
static void
check_explained(const char *what, size_t limit, const mml_field_spec *spec, int min_count, bool is_finished,
				const char *detail, const char *hint)
{
	mml_config	config;
	unit_host	unit;
	mml_rows   *rows;
	mml_model  *model = NULL;
	mml_row_facts facts = {.label = 1.0,.weight = 1.0,.domain = "d",.domain_length = 1,.split = MML_SPLIT_TRAIN};
	mml_status	status = MML_OK;

	unit_host_init(&unit);
	unit.host.memory_limit = limit;
	unit_config_init(&config);
	config.embedding_dim = 64;
	config.method = MML_BACKBONE;
	config.min_count = min_count;
	unit_check(mml_rows_create_training(&unit.host, &config, spec, 1, &rows) == MML_OK, "%s: create", what);
	for (int64_t i = 0; i < 20000 && status == MML_OK; i++)
	{
		status = mml_rows_begin(rows);
		status = status == MML_OK ? mml_put_integer(rows, 0, i) : status;
		status = status == MML_OK ? mml_rows_end_training(rows, &facts) : status;
	}
	status = status == MML_OK ? mml_rows_finish(rows) : status;
	unit_check(rows->is_finished == is_finished, "%s: status %d, %s", what, status, unit.host.error.detail);
	if (status == MML_OK)
		status = mml_train(&unit.host, rows, &config, &model);
	else
		mml_rows_explain(rows, status);
	unit_check(status == MML_LIMIT && says_both(unit.host.error.detail), "%s: status %d", what, status);
	unit_check(strstr(unit.host.error.detail, detail) != NULL, "%s: \"%s\"", what, unit.host.error.detail);
	unit_check(strstr(unit.host.error.hint, hint) != NULL, "%s: \"%s\"", what, unit.host.error.hint);
	mml_rows_free(rows);
	unit_check(unit.n_held == 0, "%s: %ld pieces are kept", what, unit.n_held);
}

static void
test_explained(void)
{
	mml_field_spec spec = {.name = "id",.kind = MML_CATEGORICAL};

	check_explained("values that come in", 1 << 20, &spec, 1, false, "rows, feature \"id\" has ",
					"\"hash\" to feature \"id\"");
	check_explained("values that may be rare", 1 << 20, &spec, 2, false, " values.", "fewer rows");
	check_explained("all values", 8 << 20, &spec, 1, true,
					"In 20000 rows, feature \"id\" has 20000 values; in training their weights take 29 MB.", "\"min_count\"");
	spec.hash_buckets = 30000;
	check_explained("hash buckets", 8 << 20, &spec, 2, true,
					"feature \"id\" has 30000 hash buckets; in training their weights take 44 MB.",
					"or \"hash\" of feature \"id\"");
}

static void
open_wide(mml_config *config, unit_data *data)
{
	open_case(config, data, "paper", "domain");
	config->method = MML_BACKBONE;
	config->finetune = 0;
	config->expert_diversity = config->gate_entropy = 0.0;
	config->embedding_dim = 256;
	config->hidden[0] = 1024;
}

/* The megabytes that a training under too low a limit says it needs. */
static unsigned long
needed_megabytes(void)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	mml_model  *model;

	open_wide(&config, &data);
	unit_host_init(&unit);
	unit.host.memory_limit = 40 << 20;
	unit_check(unit_train(&unit.host, &config, &data, 0, &model) == MML_LIMIT &&
			   strcmp(unit_error(&unit.host), "training needs more memory than allowed") == 0, "\"%s\"",
			   unit_error(&unit.host));
	return strtoul(unit.host.error.detail + strcspn(unit.host.error.detail, "0123456789"), NULL, 10);
}

/*
 * What a warm start goes on from makes room for the new model's own values: it needs no more than a first training,
 * but for what participants have of their own, which go before the model comes: here less than 2 MB.
 */
static void
test_room_of_version_before(void)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	mml_model  *model;
	unsigned long first;
	size_t		most;

	first = needed_megabytes();
	open_wide(&config, &data);
	unit_host_init(&unit);
	unit_check(unit_train(&unit.host, &config, &data, 0, &model) == MML_OK &&
			   unit_save(&unit.host, model, &previous) == MML_OK, "train: %s", unit_error(&unit.host));
	unit_check(mml_model_bytes(model) > 6 << 20, "the model has %zu bytes", mml_model_bytes(model));
	mml_model_free(model);
	most = unit.most_used;
	unit_check(needed_megabytes() <= first + 2, "%lu MB instead of %lu", needed_megabytes(), first);
	data.previous = &previous;
	unit_host_init(&unit);
	unit_check(unit_train(&unit.host, &config, &data, 0, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	unit_check(unit.most_used < most + (1 << 20), "%zu bytes instead of %zu", unit.most_used, most);
	mml_model_free(model);
	unit_bytes_free(&previous);
}

/* Pieces of any size fit as long as their sum does: room must not be held back in large blocks. */
static void
test_arena_under_limit(void)
{
	for (size_t limit = 200 << 10; limit < 20 << 20; limit += limit / 3)
	{
		unit_host	unit;
		mml_arena	arena;
		void	   *piece = NULL;
		mml_ref		ref;
		size_t		taken = 0;

		unit_host_init(&unit);
		unit.host.memory_limit = limit;
		mml_arena_init(&arena, &unit.host);
		while (taken < limit / 2 && mml_arena_alloc(&arena, 1, 5000, &ref) == MML_OK)
			taken += 5000;
		unit_check(taken >= limit / 2, "limit %zu: an arena's pieces end at %zu", limit, taken);
		unit_check(mml_alloc(&unit.host, &piece, 1, limit / 8) == MML_OK, "limit %zu, %zu in the arena: %s %s", limit,
				   taken, unit_error(&unit.host), unit.host.error.detail);
		mml_release(&unit.host, piece);
		mml_arena_free(&arena);
		unit_check(unit.n_held == 0, "%ld pieces are kept", unit.n_held);
	}
}

static void
test_uncountable(void)
{
	unit_host	unit;
	mml_arena	arena;
	mml_ref		ref;
	void	   *piece;

	unit_host_init(&unit);
	mml_arena_init(&arena, &unit.host);
	unit_check(mml_alloc(&unit.host, &piece, SIZE_MAX / 4, 8) == MML_LIMIT && piece == NULL, "a product that wraps");
	unit_check(mml_arena_alloc(&arena, SIZE_MAX / 4, 8, &ref) == MML_LIMIT && ref.block == 0, "the same in an arena");
	unit_check(mml_alloc(&unit.host, &piece, 0, 8) == MML_OK && piece != NULL, "no elements");
	unit_check(((uintptr_t) piece & 63) == 0, "aligned to 64 bytes");
	mml_release(&unit.host, piece);
	mml_release(&unit.host, NULL);
	mml_arena_free(&arena);
	unit_check(unit.n_held == 0, "%ld pieces are kept", unit.n_held);
}

int
main(void)
{
	mml_init();
	test_every_allocation("auto", "domain", "wdl");
	test_every_allocation("joint", "input", "xdeepfm");
	test_growing_limit("gated", 300);
	test_growing_limit("paper", 9000);
	test_fails_before_it_trains("paper", "moe_mlora");
	test_fails_before_it_trains("auto", "backbone");
	test_explained();
	train_previous("input", 150);
	test_every_allocation("gated", "input", "wdl");
	unit_bytes_free(&previous);
	train_previous("domain", 300);
	test_every_allocation("paper", "domain", "wdl");
	test_growing_limit("gated", 9000);
	unit_bytes_free(&previous);
	test_room_of_version_before();
	test_arena_under_limit();
	test_uncountable();
	return unit_done();
}
