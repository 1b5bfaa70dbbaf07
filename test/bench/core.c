/*
 * core.c - what the numeric core alone reaches, without PostgreSQL: training in
 * mode backbone, scoring in blocks of 512 rows and row by row.
 * usage: core BACKBONE FEATURES DIM ROWS [EPOCHS [SHARED]]
 *
 * Rows are random, with FEATURES categorical features of 500, 1000, 1500, ...
 * values and 7 domains; the network is the default one.  In the rows to score the
 * first SHARED features and the domain stay the same for 1000 rows each time, as
 * those of a user do who is shown many items.  Prints one line: rows a second of
 * training, of block scoring and of single scoring, from values in memory to
 * probabilities, encoding included, by the process's own CPU time, so that other
 * work on the machine counts for little.
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

/* The value of a feature in a row. */
static int32_t
value_of(int f, uint64_t row)
{
	return (int32_t) mml_below(row + 1, (uint64_t) f, (uint64_t) (f + 1) * 500);
}

#define N_DOMAINS 7

static const char *const domains[N_DOMAINS] = {"0", "1", "2", "3", "4", "5", "6"};

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
		check(mml_rows_begin(rows));
		for (int f = 0; f < n_features; f++)
			check(mml_put_integer(rows, f, value_of(f, row)));
		facts.label = (double) (mml_mix(row) & 1);
		facts.domain = domains[row % N_DOMAINS];
		check(mml_rows_end_training(rows, &facts));
	}
	check(mml_rows_finish(rows));
	check(mml_train(&host, rows, config, &model));
	mml_rows_free(rows);
	free(specs);
	free(names);
	return model;
}

/* The rows to score. */
typedef struct table
{
	int			n_features;
	int			n_shared;
	size_t		n_rows;
	int32_t    *values;			/* [n_rows, n_features] */
} table;

#define SHARING_ROWS 1000

static void
fill_table(table *t)
{
	t->values = calloc(t->n_rows * (size_t) t->n_features, sizeof(int32_t));
	for (size_t row = 0; row < t->n_rows; row++)
		for (int f = 0; f < t->n_features; f++)
			t->values[row * (size_t) t->n_features + (size_t) f] =
				value_of(f, f < t->n_shared ? row - row % SHARING_ROWS : row);
}

static const char *
domain_of(const table *t, size_t row)
{
	return domains[(t->n_shared > 0 ? row / SHARING_ROWS : row) % N_DOMAINS];
}

/* Rows a second of encoding and scoring the first `n_rows` rows in blocks. */
static double
score(const mml_model *model, const table *t, size_t n_rows, size_t block)
{
	mml_scorer *scorer;
	float		probabilities[BLOCK];
	double		started;
	double		seconds;

	check(mml_scorer_create(&host, model, MML_MODE_BACKBONE, block, 1, &scorer));
	started = cpu_seconds(NULL);
	for (size_t row = 0; row < n_rows; row++)
	{
		mml_rows   *rows = mml_scorer_rows(scorer);

		check(mml_rows_begin(rows));
		for (int f = 0; f < t->n_features; f++)
			check(mml_put_integer(rows, f, t->values[row * (size_t) t->n_features + (size_t) f]));
		check(mml_rows_end_scoring(rows, domain_of(t, row), 1));
		if (mml_rows_full(rows))
			check(mml_score(scorer, probabilities));
	}
	seconds = cpu_seconds(NULL) - started;
	mml_scorer_free(scorer);
	return (double) n_rows / seconds;
}

int
main(int argc, char **argv)
{
	mml_config	config;
	mml_model  *model;
	table		t = {0};

	if (argc < 5)
	{
		fprintf(stderr, "usage: %s BACKBONE FEATURES DIM ROWS [EPOCHS [SHARED]]\n", argv[0]);
		return 2;
	}
	mml_init();
	t.n_features = atoi(argv[2]);
	t.n_rows = strtoull(argv[4], NULL, 10);
	t.n_shared = argc > 6 ? atoi(argv[6]) : 0;
	mml_config_init(&config);
	set_text(&config, "backbone", argv[1]);
	set_text(&config, "method", "backbone");
	set_number(&config, "embedding_dim", atof(argv[3]));
	set_number(&config, "validation", 0.0);
	set_number(&config, "epochs", argc > 5 ? atof(argv[5]) : 1.0);
	model = train(&config, t.n_features, t.n_rows);
	fill_table(&t);
	printf("%s %sx%s: training %.0f, scoring in blocks %.0f, row by row %.0f rows/s\n", argv[1], argv[2], argv[3],
		   mml_model_phase(model, 0)->rows_per_second, score(model, &t, t.n_rows / BLOCK * BLOCK, BLOCK),
		   score(model, &t, t.n_rows, 1));
	free(t.values);
	mml_model_free(model);
	return 0;
}
