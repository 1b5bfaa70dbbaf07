/*
 * core.c - what the numeric core alone reaches, without PostgreSQL: training in
 * mode backbone, scoring in blocks of 512 rows and row by row.
 * usage: core BACKBONE FEATURES DIM ROWS [EPOCHS]
 *
 * Rows are random, with FEATURES categorical features of 500, 1000, 1500, ...
 * values and 3 domains; the network is the default one.  Prints one line: rows a
 * second of training, of block scoring and of single scoring, by the process's
 * own CPU time, so that other work on the machine counts for little.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mml_math.h"

#define BLOCK 512

static void *
take(void *self, size_t bytes)
{
	(void) self;
	return malloc(bytes);
}

static void
give_back(void *self, void *memory)
{
	(void) self;
	free(memory);
}

static bool
never(void *self)
{
	(void) self;
	return false;
}

static double
cpu_seconds(void *self)
{
	struct timespec now;

	(void) self;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static mml_host host = {.allocate = take,.release = give_back,.poll = never,.seconds = cpu_seconds};

static void
check(mml_status status)
{
	if (status == MML_OK)
		return;
	fprintf(stderr, "%s\n%s\n", host.error.message, host.error.detail);
	exit(1);
}

static void
set_number(mml_config *config, const char *name, double value)
{
	int			n;
	const mml_option *options = mml_options(&n);

	for (int i = 0; i < n; i++)
		if (strcmp(options[i].name, name) == 0)
			check(mml_config_set_number(&host, config, &options[i], value));
}

static void
set_text(mml_config *config, const char *name, const char *value)
{
	int			n;
	const mml_option *options = mml_options(&n);

	for (int i = 0; i < n; i++)
		if (strcmp(options[i].name, name) == 0)
			check(mml_config_set_text(&host, config, &options[i], value));
}

static void
put_row(mml_rows *rows, int n_features, uint64_t row)
{
	check(mml_rows_begin(rows));
	for (int f = 0; f < n_features; f++)
		check(mml_put_integer(rows, f, (int64_t) mml_below(row + 1, (uint64_t) f, (uint64_t) (f + 1) * 500)));
}

static const char *const domains[] = {"a", "b", "c"};

static mml_model *
train(const mml_config *config, int n_features, uint64_t n_rows)
{
	mml_field_spec *specs = calloc((size_t) n_features, sizeof(*specs));
	char		(*names)[16] = calloc((size_t) n_features, sizeof(*names));
	mml_row_facts facts = {.weight = 1.0,.domain_length = 1};
	mml_model  *model;
	mml_rows   *rows;

	for (int f = 0; f < n_features; f++)
	{
		snprintf(names[f], sizeof(names[f]), "f%d", f);
		specs[f].name = names[f];
		specs[f].kind = MML_CATEGORICAL;
	}
	check(mml_rows_create_training(&host, config, specs, n_features, &rows));
	for (uint64_t row = 0; row < n_rows; row++)
	{
		put_row(rows, n_features, row);
		facts.label = (double) (mml_mix(row) & 1);
		facts.domain = domains[row % 3];
		check(mml_rows_end_training(rows, &facts));
	}
	check(mml_rows_finish(rows));
	check(mml_train(&host, rows, config, &model));
	mml_rows_free(rows);
	free(specs);
	free(names);
	return model;
}

/* Rows a second of scoring `n_rows` in blocks, without the time of encoding them. */
static double
score(const mml_model *model, int n_features, size_t n_rows, size_t block)
{
	mml_scorer *scorer;
	float		probabilities[BLOCK];
	double		seconds = 0.0;

	check(mml_scorer_create(&host, model, MML_MODE_BACKBONE, block, 1, &scorer));
	for (size_t row = 0; row < n_rows; row += block)
	{
		double		started;

		for (size_t i = 0; i < block; i++)
		{
			put_row(mml_scorer_rows(scorer), n_features, row + i);
			check(mml_rows_end_scoring(mml_scorer_rows(scorer), domains[(row + i) % 3], 1));
		}
		started = cpu_seconds(NULL);
		check(mml_score(scorer, probabilities));
		seconds += cpu_seconds(NULL) - started;
	}
	mml_scorer_free(scorer);
	return (double) n_rows / seconds;
}

int
main(int argc, char **argv)
{
	mml_config	config;
	mml_model  *model;
	int			n_features;
	uint64_t	n_rows;

	if (argc < 5)
	{
		fprintf(stderr, "usage: %s BACKBONE FEATURES DIM ROWS [EPOCHS]\n", argv[0]);
		return 2;
	}
	mml_init();
	n_features = atoi(argv[2]);
	n_rows = strtoull(argv[4], NULL, 10);
	mml_config_init(&config);
	set_text(&config, "backbone", argv[1]);
	set_text(&config, "method", "backbone");
	set_number(&config, "embedding_dim", atof(argv[3]));
	set_number(&config, "validation", 0.0);
	set_number(&config, "epochs", argc > 5 ? atof(argv[5]) : 1.0);
	model = train(&config, n_features, n_rows);
	printf("%s %sx%s: training %.0f, scoring in blocks %.0f, row by row %.0f rows/s\n", argv[1], argv[2], argv[3],
		   mml_model_phase(model, 0)->rows_per_second, score(model, n_features, n_rows / BLOCK * BLOCK, BLOCK),
		   score(model, n_features, n_rows / 4 + 1, 1));
	mml_model_free(model);
	return 0;
}
