/*
 * test_importance.c - samples of rows that do not depend on their order, and
 * permutation importance against its definition.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mml_sample.h"
#include "unit.h"

#define N_ROWS 600

static unit_host unit;
static unit_data data;
static mml_model *model;
static mml_scorer *scorer;

static float
label_of(size_t row)
{
	return row % 3 == 0 ? 1.0f : 0.0f;
}

/* Row `row` into a sample; it is called by its own number, or by that of its domain. */
static mml_status
push(mml_sample *sample, size_t row, bool is_own)
{
	char		name[32];
	int			domain;

	unit_domain_of(&data, row, name, sizeof(name));
	domain = atoi(name + 1);
	MML_TRY(unit_push_scoring(mml_sample_rows(sample), &data, row));
	return mml_sample_take(sample, label_of(row), name, strlen(name), is_own ? (int) row : domain);
}

/* Rows 0, step, 2 step, ... modulo N_ROWS, each so many times. */
static mml_sample *
sample_of(size_t most, size_t step, int times)
{
	static const int ranks[] = {0, 1, 2};
	mml_sample *sample;

	unit_check(mml_sample_create(&unit.host, model, most, &sample) == MML_OK, "create");
	for (int i = 0; i < times; i++)
		for (size_t row = 0; row < N_ROWS; row++)
			unit_check(push(sample, row * step % N_ROWS, false) == MML_OK, "push: %s", unit_error(&unit.host));
	unit_check(mml_sample_finish(sample, ranks, 3) == MML_OK, "finish: %s", unit_error(&unit.host));
	unit_check(mml_sample_seen(sample) == (uint64_t) times * N_ROWS, "rows seen");
	return sample;
}

static void
check_same(const mml_sample *a, const mml_sample *b)
{
	unit_check(a->n == b->n && memcmp(a->starts, b->starts, 4 * sizeof(size_t)) == 0, "%zu and %zu rows", a->n, b->n);
	unit_check(memcmp(a->labels, b->labels, a->n * sizeof(float)) == 0 &&
			   memcmp(a->scores, b->scores, a->n * sizeof(float)) == 0, "the rows are others");
}

/* The same rows in another order, and in pieces. */
static void
test_order_free(size_t most, int times)
{
	mml_sample *a = sample_of(most, 1, times);
	mml_sample *b = sample_of(most, 7, times);
	size_t		expected = MML_MIN(most, (size_t) times * N_ROWS);

	unit_check(mml_sample_count(a) == expected, "%zu of %zu rows", mml_sample_count(a), expected);
	unit_check(a->starts[0] == 0 && a->starts[3] == a->n, "rows by domain");
	unit_check(mml_sample_score(a, scorer, -1) == MML_OK && mml_sample_score(b, scorer, -1) == MML_OK, "score");
	check_same(a, b);
	mml_sample_free(a);
	mml_sample_free(b);
}

/* A sample has about the shares of all rows, also when few contents have most rows. */
static void
test_fair(void)
{
	static const int ranks[] = {0, 1, 2};
	mml_sample *sample;
	size_t		n_common = 0;

	unit_check(mml_sample_create(&unit.host, model, 100, &sample) == MML_OK, "create");
	for (size_t row = 0; row < N_ROWS; row++)
		unit_check(push(sample, row % 10 < 7 ? 5 : row % 50, false) == MML_OK, "push");
	unit_check(mml_sample_finish(sample, ranks, 3) == MML_OK, "finish");
	for (size_t i = 0; i < sample->n; i++)
		n_common += sample->kept[sample->order[i]].count > 400;
	unit_check(sample->n == 100 && n_common >= 70 && n_common <= 72, "%zu of %zu rows are the common one", n_common,
			   sample->n);
	mml_sample_free(sample);
}

/* ------------------------------------------------------------------ permuting */

/* The score of a row whose feature is that of another one: both are pushed, and what it is copied by hand. */
static float
plain_score(mml_scorer *two, size_t row, int feature, size_t donor)
{
	mml_rows   *rows = mml_scorer_rows(two);
	const mml_field *field = &model->fields[feature];
	float		scores[2];

	unit_check(unit_push_scoring(rows, &data, donor) == MML_OK && unit_push_scoring(rows, &data, row) == MML_OK, "push");
	if (field->kind == MML_VECTOR)
		memcpy(mml_rows_vectors(rows, 1) + field->vector_start, mml_rows_vectors(rows, 0) + field->vector_start,
			   field->width * sizeof(float));
	else
		memcpy(mml_rows_record(rows, 1) + field->slot, mml_rows_record(rows, 0) + field->slot,
			   (field->kind == MML_CATEGORICAL ? 1 : 2) * sizeof(uint32_t));
	unit_check(mml_score(two, scores) == MML_OK, "score");
	return scores[1];
}

static void
test_donors(void)
{
	mml_sample *sample;
	mml_scorer *two;
	int			ranks[N_ROWS];

	unit_check(mml_sample_create(&unit.host, model, N_ROWS + 50, &sample) == MML_OK &&
			   mml_scorer_create(&unit.host, model, model->facts.served, 2, 1 << 20, &two) == MML_OK, "create");
	for (size_t row = 0; row < N_ROWS; row++)
	{
		ranks[row] = (int) row;
		unit_check(push(sample, row, true) == MML_OK, "push");
	}
	unit_check(mml_sample_finish(sample, ranks, N_ROWS) == MML_OK && sample->n == N_ROWS, "finish");
	for (size_t i = 0; i < N_ROWS; i++)
		sample->donors[i] = (uint32_t) ((i * 7 + 3) % N_ROWS);
	for (int f = -1; f < mml_model_features(model); f++)
	{
		double		worst = 0.0;
		size_t		n_changed = 0;

		unit_check(mml_sample_score(sample, scorer, f) == MML_OK, "score");
		for (size_t i = 0; i < N_ROWS; i++)
		{
			float		plain = plain_score(two, i, MML_MAX(f, 0), f < 0 ? i : sample->donors[i]);

			worst = fmax(worst, fabs((double) plain - sample->scores[i]));
			n_changed += fabsf(plain - plain_score(two, i, 0, i)) > 1e-4f;
		}
		unit_check(worst < 1e-6, "feature %d: off by %g", f, worst);
		unit_check((n_changed > 0) == (f >= 0), "feature %d: %zu scores change", f, n_changed);
	}
	mml_scorer_free(two);
	mml_sample_free(sample);
}

static void
test_permutation(void)
{
	mml_sample *sample = sample_of(N_ROWS, 1, 1);
	uint32_t	seen[N_ROWS];
	size_t		n_moved = 0;

	for (int f = 0; f < 2; f++)
		for (int p = 0; p < 2; p++)
		{
			memset(seen, 0, sizeof(seen));
			mml_sample_permute(sample, f, p);
			for (int d = 0; d < 3; d++)
				for (size_t i = sample->starts[d]; i < sample->starts[d + 1]; i++)
				{
					unit_check(sample->donors[i] >= sample->starts[d] && sample->donors[i] < sample->starts[d + 1] &&
							   seen[sample->donors[i]]++ == 0, "place %zu gets the value of %u", i, sample->donors[i]);
					n_moved += sample->donors[i] != i;
				}
		}
	unit_check(n_moved > 4 * N_ROWS * 9 / 10, "%zu rows moved", n_moved);
	mml_sample_free(sample);
}

/* ------------------------------------------------------------------ importance */

static double
auc_of(const mml_sample *sample, int part)
{
	size_t		first = part == 3 ? 0 : sample->starts[part];
	size_t		end = part == 3 ? sample->n : sample->starts[part + 1];
	double		scores[N_ROWS];
	double		auc;

	for (size_t i = first; i < end; i++)
		scores[i - first] = sample->scores[i];
	unit_check(mml_auc(&unit.host, scores, sample->labels + first, end - first, &auc) == MML_OK, "auc");
	return auc;
}

/* Base AUC minus the mean AUC of the permutations. */
static void
test_importance(void)
{
	mml_sample *sample = sample_of(N_ROWS, 1, 1);
	mml_importance importances[4];

	for (int f = 0; f < mml_model_features(model); f++)
	{
		double		lost[4];

		unit_check(mml_sample_importance(sample, scorer, f, importances) == MML_OK, "%s", unit_error(&unit.host));
		unit_check(mml_sample_score(sample, scorer, -1) == MML_OK, "score");
		for (int part = 0; part < 4; part++)
			lost[part] = auc_of(sample, part);
		for (int p = 0; p < MML_PERMUTATIONS; p++)
		{
			mml_sample_permute(sample, f, p);
			unit_check(mml_sample_score(sample, scorer, f) == MML_OK, "score");
			for (int part = 0; part < 4; part++)
				lost[part] -= auc_of(sample, part) / MML_PERMUTATIONS;
		}
		for (int part = 0; part < 4; part++)
		{
			if (importances[part].rows < 10)
				continue;
			(void) unit_close(importances[part].lost, lost[part], 1e-9, "importance");
			unit_check(importances[part].rows > 0 && importances[part].error > 0.0 && importances[part].error < 0.5,
					   "error %g of %lld rows", importances[part].error, (long long) importances[part].rows);
		}
	}
	unit_check(importances[3].rows == N_ROWS && importances[3].positives == N_ROWS / 3, "rows of all");
	mml_sample_free(sample);
}

/* No rows, and one class: not defined. */
static void
test_undefined(void)
{
	static const int ranks[] = {2, 1, 0};
	mml_importance importances[4];
	mml_sample *sample;

	for (size_t n = 0; n < 2; n++)
	{
		unit_check(mml_sample_create(&unit.host, model, 10, &sample) == MML_OK, "create");
		for (size_t row = 1; row <= n; row++)
			unit_check(push(sample, row, false) == MML_OK, "push");
		unit_check(mml_sample_finish(sample, ranks, 3) == MML_OK && mml_sample_count(sample) == n &&
				   mml_sample_importance(sample, scorer, 0, importances) == MML_OK, "%s", unit_error(&unit.host));
		for (int part = 0; part < 4; part++)
			unit_check(isnan(importances[part].lost) && isnan(importances[part].error), "importance of %zu rows", n);
		unit_check(importances[3].rows == (int64_t) n, "rows");
		mml_sample_free(sample);
	}
}

int
main(void)
{
	mml_config	config;

	mml_init();
	unit_host_init(&unit);
	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = N_ROWS;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	unit_check(mml_scorer_create(&unit.host, model, model->facts.served, 64, 1 << 20, &scorer) == MML_OK, "scorer");
	test_order_free(1000, 1);
	test_order_free(600, 1);
	test_order_free(100, 1);
	test_order_free(50, 3);
	test_order_free(1000, 2);
	test_order_free(1, 1);
	test_fair();
	test_donors();
	test_permutation();
	test_importance();
	test_undefined();
	mml_scorer_free(scorer);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
