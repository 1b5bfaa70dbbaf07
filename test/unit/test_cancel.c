/*
 * test_cancel.c - the host says stop at its n-th poll, for many n, anywhere on
 * the way from rows to scores: MML_CANCELLED, and nothing is kept.
 */
#include <string.h>

#include "unit.h"

/* n_stops: at some polls all the way, besides every poll of the first and last ones. */
static void
check_stops(const char *what, const mml_config *config, const unit_data *data, long n_stops)
{
	unit_host	unit;
	long		n_polls;
	long		step;
	long		n_ends = n_stops / 4;

	unit_host_init(&unit);
	unit_check(unit_whole_way(&unit.host, config, data) == MML_OK, "%s: %s", what, unit_error(&unit.host));
	n_polls = unit.n_polls;
	step = n_polls / n_stops + 1;
	for (long n = 1; n <= n_polls; n += n < n_ends || n > n_polls - n_ends ? 1 : step)
	{
		mml_status	status;

		unit_host_init(&unit);
		unit.stops_at = n;
		status = unit_whole_way(&unit.host, config, data);
		unit_check(status == MML_CANCELLED, "%s: stop at poll %ld of %ld: status %d, %s", what, n, n_polls, status,
				   unit_error(&unit.host));
		unit_check(unit.n_polls == n, "%s: stop at poll %ld is answered after poll %ld", what, n, unit.n_polls);
		unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%s: stop at poll %ld: %ld pieces are kept", what, n,
				   unit.n_held);
	}
}

/* A warm start from what such a training leaves. */
static void
check_warm_stops(const mml_config *config, const unit_data *data)
{
	unit_data	second = *data;
	unit_host	unit;
	unit_bytes	bytes;

	unit_host_init(&unit);
	unit_train_and_save(&unit, "first night", config, data, 1, &bytes);
	unit_second_night(&second, &bytes);
	check_stops("warm start", config, &second, 100);
	unit_bytes_free(&bytes);
}

/* So many rows that sorting them polls by itself: only reading and finishing. */
static void
test_many_rows(bool has_times)
{
	mml_field_spec spec = {.name = "id",.kind = MML_CATEGORICAL};
	mml_config	config;
	mml_status	status = MML_CANCELLED;

	mml_config_init(&config);
	for (long n = 1; status != MML_OK; n += n < 16 ? 15 : n < 30 ? 1 : 23)
	{
		unit_host	unit;
		mml_rows   *rows;

		unit_host_init(&unit);
		(void) mml_rows_create_training(&unit.host, &config, &spec, 1, &rows);
		for (int64_t i = 0; i < 66000; i++)
		{
			mml_row_facts facts = {
				.label = i % 2,.weight = 1.0,.has_time = has_times,.time = (double) (i % 977),
				.domain = "d",.domain_length = 1
			};

			(void) mml_rows_begin(rows);
			(void) mml_put_integer(rows, 0, i);
			(void) mml_rows_end_training(rows, &facts);
		}
		unit.n_polls = 0;
		unit.stops_at = n;
		status = mml_rows_finish(rows);
		unit_check(status == MML_CANCELLED || (status == MML_OK && unit.n_polls < n),
				   "many rows: stop at poll %ld: status %d", n, status);
		mml_rows_free(rows);
		unit_check(unit.n_held == 0, "many rows: stop at poll %ld: %ld pieces are kept", n, unit.n_held);
		unit_check(status == MML_CANCELLED || n > 100, "many rows: finished with %ld polls", unit.n_polls);
	}
}

int
main(void)
{
	mml_config	config;
	unit_data	data;

	mml_init();
	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 300;
	config.epochs = 2;
	config.recipe = MML_RECIPE_AUTO;
	config.finetune = 1;
	config.dropout = 0.5;
	check_stops("all phases", &config, &data, 200);
	config.gate = MML_GATE_INPUT;
	config.recipe = MML_RECIPE_GATED;
	check_stops("gate over the input", &config, &data, 100);
	check_warm_stops(&config, &data);
	/* batches and validation sets that poll by themselves */
	config.method = MML_BACKBONE;
	config.finetune = 0;
	config.epochs = 1;
	config.batch_size = 8192;
	config.validation = 0.9;
	data.features = UNIT_PRICE | UNIT_TAGS;
	data.n_rows = 12000;
	check_stops("some rows more", &config, &data, 24);
	test_many_rows(false);
	test_many_rows(true);
	return unit_done();
}
