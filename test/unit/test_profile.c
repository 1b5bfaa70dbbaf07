/*
 * test_profile.c - what a model keeps of its training rows: that rows fall into
 * the same bins in training and in scoring, figures against plain ones, the means
 * of a gate over the input, and the bound of it all.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"
#include "unit.h"

static unit_host unit;

static mml_model *
train(const mml_config *config, const unit_data *data)
{
	mml_model  *model = NULL;

	unit_check(unit_train(&unit.host, config, data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	return model;
}

/* Rows [first, end) of `data`, as a model sees them. */
static mml_drift *
drift_of(const mml_model *model, const unit_data *data, size_t first, size_t end)
{
	mml_model_facts facts;
	mml_scorer *scorer;
	mml_drift  *drift;

	mml_model_get_facts(model, &facts);
	unit_check(mml_scorer_create(&unit.host, model, facts.served, 64, 1 << 20, &scorer) == MML_OK, "scorer");
	unit_check(mml_drift_create(&unit.host, model, &drift) == MML_OK, "drift");
	for (size_t row = first; row < end; row++)
	{
		unit_check(unit_push_scoring(mml_scorer_rows(scorer), data, row) == MML_OK, "row %zu", row);
		if (mml_rows_full(mml_scorer_rows(scorer)))
			unit_check(mml_drift_add(drift, scorer) == MML_OK, "add: %s", unit_error(&unit.host));
	}
	unit_check(mml_drift_add(drift, scorer) == MML_OK, "add: %s", unit_error(&unit.host));
	mml_scorer_free(scorer);
	return drift;
}

/* ------------------------------------------------------------------- the bins */

/* The training rows, scored, are where they were in training: with each value in its bin, nothing has moved. */
static void
test_same_bins(uint32_t features)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_drift  *drift;
	mml_shift	shift;

	unit_config_init(&config);
	unit_data_init(&data);
	data.features = features;
	config.validation = 0.0;
	config.epochs = 1;
	config.min_count = 3;
	model = train(&config, &data);
	drift = drift_of(model, &data, 0, data.n_rows);
	for (int d = -1; d < mml_model_domains(model); d++)
	{
		uint64_t	rows = d < 0 ? data.n_rows : (uint64_t) mml_model_domain(model, d)->rows;

		for (int f = 0; f < mml_model_features(model); f++)
		{
			mml_drift_feature(drift, d, f, &shift);
			unit_check(shift.rows == rows && fabs(shift.psi) < 1e-12, "domain %d, feature %s: %llu rows, psi %g", d,
					   model->fields[f].name, (unsigned long long) shift.rows, shift.psi);
		}
		mml_drift_scores(drift, d, &shift);
		unit_check(shift.rows == rows && isnan(shift.psi) && isnan(shift.score_before) && shift.score > 0.0,
				   "without validation rows nobody knows what scores were");
	}
	mml_drift_domains(drift, &shift);
	unit_check(shift.rows == data.n_rows && fabs(shift.psi) < 1e-12 && shift.unknown == 0.0 && isnan(shift.score),
			   "domains: %llu rows, psi %g", (unsigned long long) shift.rows, shift.psi);
	mml_drift_free(drift);
	mml_model_free(model);
}

/* Every bin of a number has rows, but those beyond its ends; its deciles are about as large as each other. */
static void
test_deciles(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	int			price = 2;

	unit_config_init(&config);
	unit_data_init(&data);
	data.features = UNIT_PRICE;
	data.n_rows = 3000;
	config.epochs = 1;
	model = train(&config, &data);
	{
		const mml_profile_field *field = &model->profile->fields[price];
		const uint64_t *counts = model->profile->all.counts + field->first;
		uint64_t	known = 0;

		unit_check(model->fields[price].kind == MML_NUMERIC && field->n_cuts == 11, "%u cuts", field->n_cuts);
		unit_check(counts[MML_BIN_UNKNOWN] == 0 && counts[MML_BIN_FIRST] == 0 && counts[MML_BIN_FIRST + 11] == 0,
				   "all training rows are between the ends");
		for (uint32_t i = 0; i < 10; i++)
			known += counts[MML_BIN_FIRST + 1 + i];
		unit_check(counts[MML_BIN_NULL] > 0 && known + counts[MML_BIN_NULL] == (uint64_t) model->facts.train_rows,
				   "%llu known, %llu NULL", (unsigned long long) known, (unsigned long long) counts[MML_BIN_NULL]);
		for (uint32_t i = 0; i < 10; i++)
			unit_check(counts[MML_BIN_FIRST + 1 + i] > known / 20 && counts[MML_BIN_FIRST + 1 + i] < known / 5,
					   "decile %u: %llu of %llu", i, (unsigned long long) counts[MML_BIN_FIRST + 1 + i],
					   (unsigned long long) known);
	}
	mml_model_free(model);
}

static void
test_keys(void)
{
	static const float numbers[] = {-INFINITY, -3e38f, -1.0f, -1e-45f, 0.0f, 1e-45f, 1.0f, 3e38f, INFINITY};
	int			n = (int) (sizeof(numbers) / sizeof(numbers[0]));

	for (int i = 1; i < n; i++)
		unit_check(mml_profile_key(numbers[i - 1]) < mml_profile_key(numbers[i]), "key of %g", numbers[i]);
	unit_check(mml_profile_key(-0.0f) == mml_profile_key(0.0f), "zeros");
	unit_check(mml_profile_key(INFINITY) < UINT32_MAX, "something follows the largest number");
	unit_check(mml_profile_score_bin(-1e30f) == 0 && mml_profile_score_bin(1e30f) == MML_SCORE_BINS - 1 &&
			   mml_profile_score_bin(0.0f) == MML_SCORE_BINS / 2 && mml_profile_score_bin(-0.01f) == MML_SCORE_BINS / 2 - 1,
			   "bins of scores");
}

/* ---------------------------------------------------------------- the figures */

static double
smooth_share(double count, double n, double bins)
{
	return (count + 0.5) / (n + 0.5 * bins);
}

static double
plain_term(double a, double e)
{
	return (a - e) * log(a / e);
}

#define N_LATER 500

/* Bins of the users of the first rows, counted one by one. */
static void
count_users(const mml_model *model, const unit_data *data, uint64_t *counts)
{
	const mml_profile_field *field = &model->profile->fields[0];
	mml_scorer *scorer;

	unit_check(mml_scorer_create(&unit.host, model, MML_MODE_BACKBONE, N_LATER, 0, &scorer) == MML_OK, "scorer");
	for (size_t row = 0; row < N_LATER; row++)
	{
		uint32_t	id;
		uint32_t	bin;

		(void) unit_push_scoring(mml_scorer_rows(scorer), data, row);
		id = mml_rows_record(mml_scorer_rows(scorer), row)[model->fields[0].slot];
		bin = id < 2 ? id : MML_BIN_FIRST + field->n_cuts;
		for (uint32_t i = 0; i < field->n_cuts; i++)
			bin = field->cuts[i] == id ? MML_BIN_FIRST + i : bin;
		counts[bin]++;
	}
	mml_scorer_free(scorer);
}

/* The index of the users, straight from its definition. */
static double
plain_psi(const mml_model *model, const uint64_t *now)
{
	const mml_profile_field *field = &model->profile->fields[0];
	const uint64_t *before = model->profile->all.counts + field->first;
	const uint64_t *valid = model->profile->all.valid;
	double		bins = mml_profile_bins(field) - 1;
	double		n_before = 0;
	double		u_now = smooth_share((double) now[0], N_LATER, 2);
	double		u_before = smooth_share((double) valid[1], (double) valid[0], 2);
	double		psi = plain_term(u_now, u_before);

	for (uint32_t i = MML_BIN_NULL; i < mml_profile_bins(field); i++)
		n_before += (double) before[i];
	for (uint32_t i = MML_BIN_NULL; i < mml_profile_bins(field); i++)
		psi += plain_term((1 - u_now) * smooth_share((double) now[i], N_LATER - (double) now[0], bins),
						  (1 - u_before) * smooth_share((double) before[i], n_before, bins));
	return psi;
}

/* Users of whom a third is new: shares and index. */
static void
test_figures(void)
{
	mml_config	config;
	unit_data	data;
	unit_data	later;
	mml_model  *model;
	mml_drift  *drift;
	mml_shift	shift;
	uint64_t	now[MML_BIN_FIRST + MML_PROFILE_CUTS + 1] = {0};

	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 1500;
	data.n_valid = 500;
	config.epochs = 1;
	config.min_count = 27;
	model = train(&config, &data);
	unit_check(model->profile->all.valid[1] > 0 &&
			   model->profile->all.valid[1] != model->profile->all.counts[MML_BIN_UNKNOWN], "rare users are unknown");
	later = data;
	later.draw = 7;
	later.first_user = 10;
	count_users(model, &later, now);
	drift = drift_of(model, &later, 0, N_LATER);
	mml_drift_feature(drift, -1, 0, &shift);
	unit_check(model->profile->all.valid[0] == 500 && now[0] > 50 && model->profile->fields[0].n_cuts == MML_PROFILE_CUTS,
			   "%llu unknown users", (unsigned long long) now[0]);
	unit_check(shift.rows == N_LATER && shift.unknown == (double) now[0] / N_LATER &&
			   shift.missing == (double) now[1] / N_LATER, "unknown %g, missing %g", shift.unknown, shift.missing);
	(void) unit_close(shift.psi, plain_psi(model, now), 1e-12, "psi");
	unit_check(shift.psi > 0.25 && shift.psi > shift.luck && shift.luck > 0.0, "psi %g, luck %g", shift.psi, shift.luck);
	mml_drift_free(drift);

	/* the validation rows score as they did */
	drift = drift_of(model, &data, data.n_rows - data.n_valid, data.n_rows);
	for (int d = -1; d < mml_model_domains(model); d++)
	{
		mml_drift_scores(drift, d, &shift);
		unit_check(shift.psi < 1e-3 && fabs(shift.score - shift.score_before) < 1e-6, "domain %d: psi %g, mean %g", d,
				   shift.psi, shift.score - shift.score_before);
	}
	mml_drift_free(drift);
	mml_model_free(model);
}

/* Rows that nothing distinguishes from those of training are beyond luck once in a long time. */
static void
test_luck(void)
{
	mml_config	config;
	unit_data	data;
	unit_data	later;
	mml_model  *model;
	double		largest = 0.0;

	unit_config_init(&config);
	unit_data_init(&data);
	config.epochs = 1;
	data.n_rows = 4000;
	model = train(&config, &data);
	later = data;
	for (later.draw = 1; later.draw <= 20; later.draw++)
	{
		mml_drift  *drift = drift_of(model, &later, 0, 300);

		for (int f = 0; f < mml_model_features(model); f++)
		{
			mml_shift	shift;

			mml_drift_feature(drift, -1, f, &shift);
			largest = fmax(largest, shift.psi / shift.luck);
		}
		mml_drift_free(drift);
	}
	unit_check(largest > 0.3 && largest < 1.0, "at most %g of what luck can do", largest);
	mml_model_free(model);
}

/* ------------------------------------------------------------------ the gates */

/* Means and spreads of a gate over the input, from the weights of each validation row. */
static void
check_gates(const mml_model *model, const unit_data *data, int domain, mml_scorer *scorer)
{
	float		mean[16];
	float		spread[16];
	float		weights[16];
	double		effects[UNIT_MAX_FEATURES];
	double		start;
	double		sum[16] = {0};
	double		squares[16] = {0};
	size_t		n = 0;
	char		name[16];

	for (size_t row = data->n_rows - data->n_valid; row < data->n_rows; row++)
	{
		unit_domain_of(data, row, name, sizeof(name));
		if (strcmp(name, mml_model_domain(model, domain)->name) != 0)
			continue;
		unit_check(unit_push_scoring(mml_scorer_rows(scorer), data, row) == MML_OK &&
				   mml_scorer_explain(scorer, &start, effects, weights) == MML_OK, "explain");
		for (int e = 0; e < model->facts.n_experts; e++)
		{
			sum[e] += weights[e];
			squares[e] += (double) weights[e] * weights[e];
		}
		n++;
	}
	unit_check(mml_model_gates(model, domain, mean, spread) && n > 1, "gates of domain %d, %zu rows", domain, n);
	for (int e = 0; e < model->facts.n_experts; e++)
	{
		(void) unit_close(mean[e], sum[e] / (double) n, 1e-6, "mean weight");
		(void) unit_close(spread[e], sqrt(fmax(squares[e] / (double) n - sum[e] * sum[e] / (double) (n * n), 0)), 1e-4,
						  "spread");
	}
}

static void
test_gates(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_scorer *scorer;
	float		weights[32];

	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 1500;
	data.n_valid = 500;
	config.min_domain_rows = 5;
	unit_set_all(&config, "gate=input recipe=gated serve=gate");
	model = train(&config, &data);
	unit_check(mml_scorer_create(&unit.host, model, MML_MODE_GATE, 1, 0, &scorer) == MML_OK, "scorer");
	for (int d = 0; d < mml_model_domains(model); d++)
		check_gates(model, &data, d, scorer);
	mml_scorer_free(scorer);
	unit_check(mml_model_gates(model, 0, weights, weights + 16) && weights[16] > 0.0f, "weights differ from row to row");
	mml_model_free(model);

	/* nobody knows them without validation rows; a domain without experts has zeros */
	data.n_valid = 0;
	config.validation = 0.0;
	config.min_domain_rows = 100;
	model = train(&config, &data);
	unit_check(!mml_model_gates(model, 0, weights, weights + 16), "gates of no rows");
	unit_check(model->facts.n_experts == 2 && mml_model_gates(model, 2, weights, weights + 16) && weights[0] == 0.0f &&
			   weights[16] == 0.0f, "gates of a domain without experts");
	mml_model_free(model);
}

/* ------------------------------------------------------------------ the bound */

/* With thousands of domains only the largest have a profile. */
static void
test_bound(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	int64_t		least = INT64_MAX;
	int64_t		most = 0;
	uint64_t	n = 0;
	uint64_t	bound;

	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 12000;
	data.n_domains = 4000;
	data.features = UNIT_ALL_KINDS;
	config.epochs = 1;
	unit_set_all(&config, "method=backbone batch_size=4096");
	model = train(&config, &data);
	for (int d = 0; d < mml_model_domains(model); d++)
	{
		int64_t		rows = mml_model_domain(model, d)->rows;

		n += mml_model_has_profile(model, d);
		if (mml_model_has_profile(model, d))
			least = MML_MIN(least, rows);
		else
			most = MML_MAX(most, rows);
	}
	unit_check(n == MML_PROFILE_WORDS / mml_profile_group_words(model->profile) && n < (uint64_t) mml_model_domains(model),
			   "%llu of %d domains", (unsigned long long) n, mml_model_domains(model));
	unit_check(least >= most, "domains of %lld rows, but not of %lld", (long long) least, (long long) most);
	bound = (1 << 20) + 152 * (uint64_t) mml_model_features(model) + 8 * (uint64_t) mml_model_domains(model) + 256;
	unit_check(mml_model_profile_bytes(model) > 900000 && mml_model_profile_bytes(model) <= bound, "%llu bytes",
			   (unsigned long long) mml_model_profile_bytes(model));
	mml_model_free(model);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_keys();
	test_same_bins(UNIT_ALL_KINDS);
	test_same_bins(UNIT_AGE | UNIT_HASH | UNIT_PRICE);
	test_deciles();
	test_figures();
	test_luck();
	test_gates();
	test_bound();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
