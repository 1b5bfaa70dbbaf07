/*
 * test_scorer.c - a scorer as its callers use it: full blocks, values it never
 * saw, rows that are refused half-way, errors, and that it goes on after each.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;
static unit_data data;

static mml_model *
train_domains(const char *unknown_domain, const char *gate, int n_domains)
{
	mml_config	config;
	mml_model  *model;

	unit_config_init(&config);
	unit_data_init(&data);
	data.n_domains = n_domains;
	data.n_rows = MML_MAX(data.n_rows, (size_t) n_domains * 20);
	(void) unit_set(&config, "unknown_domain", unknown_domain);
	if (n_domains > 3)
		(void) unit_set(&config, "min_domain_rows", "1");
	(void) unit_set(&config, "gate", gate);
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	return model;
}

static mml_model *
train(const char *unknown_domain, const char *gate)
{
	return train_domains(unknown_domain, gate, 3);
}

static mml_scorer *
create(const mml_model *model, mml_mode mode, size_t capacity)
{
	mml_scorer *scorer;

	unit_check(mml_scorer_create(&unit.host, model, mode, capacity, 1 << 20, &scorer) == MML_OK, "create: %s",
			   unit_error(&unit.host));
	return scorer;
}

/* Scores of the first n rows in one block. */
static void
score_rows(mml_scorer *scorer, size_t n, float *scores)
{
	for (size_t i = 0; i < n; i++)
		unit_check(unit_push_scoring(mml_scorer_rows(scorer), &data, i) == MML_OK, "row %zu: %s", i,
				   unit_error(&unit.host));
	unit_check(mml_score(scorer, scores) == MML_OK, "score: %s", unit_error(&unit.host));
}

/* One row of user, item as text, and nothing else. */
static float
score_values(mml_scorer *scorer, const char *user, int64_t user_number, const char *item)
{
	mml_rows   *rows = mml_scorer_rows(scorer);
	float		score = NAN;

	(void) mml_rows_begin(rows);
	(void) (user == NULL ? mml_put_integer(rows, 0, user_number) : mml_put_text(rows, 0, user, strlen(user)));
	(void) mml_put_text(rows, 1, item, strlen(item));
	for (int f = 2; f < 5; f++)
		(void) mml_put_null(rows, f);
	(void) mml_rows_end_scoring(rows, "d0", 2);
	unit_check(mml_score(scorer, &score) == MML_OK, "score: %s", unit_error(&unit.host));
	return score;
}

static void
test_values(void)
{
	mml_model  *model = train("backbone", "domain");
	mml_scorer *scorer = create(model, MML_MODE_GATE, 1);
	float		known = score_values(scorer, NULL, 7, "item 3");

	unit_check(score_values(scorer, "7", 0, "item 3") == known, "text and integer of one category score alike");
	unit_check(score_values(scorer, "07", 0, "item 3") != known, "another text is another category");
	unit_check(score_values(scorer, NULL, 12345, "item 3") == score_values(scorer, "never seen", 0, "item 3"),
			   "all unknown values score alike");
	unit_check(score_values(scorer, NULL, 7, "item 4") != known, "another item scores otherwise");
	unit_check(score_values(scorer, NULL, 7, "item 3") == known, "a score repeats");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

static void
test_modes(void)
{
	mml_config	config;
	mml_model  *model;
	mml_scorer *scorer;

	unit_config_init(&config);
	unit_data_init(&data);
	config.method = MML_MLORA;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	unit_check(mml_scorer_create(&unit.host, model, MML_MODE_GATE, 1, 0, &scorer) == MML_BAD_OPTION && scorer == NULL,
			   "mlora has no gate");
	unit_check(mml_scorer_create(&unit.host, model, MML_MODE_EXPERT, 1, 0, &scorer) == MML_BAD_OPTION && scorer == NULL,
			   "no single expert");
	unit_check(mml_scorer_create(&unit.host, model, MML_MODE_OWN, 0, 0, &scorer) == MML_OK, "capacity 0 is 1");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

static void
test_capacity(void)
{
	mml_model  *model = train("backbone", "domain");
	mml_scorer *scorer = create(model, MML_MODE_OWN, 3);
	float		first[3];
	float		again[3];
	float		logits[3];

	score_rows(scorer, 3, first);
	for (size_t i = 0; i < 3; i++)
		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
	unit_check(mml_rows_full(mml_scorer_rows(scorer)) && mml_rows_count(mml_scorer_rows(scorer)) == 3,
			   "the block is full");
	unit_check(mml_rows_begin(mml_scorer_rows(scorer)) == MML_LIMIT, "one row too many");
	unit_check(mml_score_logits(scorer, logits) == MML_OK, "the rows that are there score: %s", unit_error(&unit.host));
	for (size_t i = 0; i < 3; i++)
		unit_check((float) mml_sigmoid(logits[i]) == first[i], "row %zu: probability of its logit", i);
	unit_check(mml_score(scorer, again) == MML_OK, "no rows is no error");
	score_rows(scorer, 2, again);
	unit_check(fabsf(again[0] - first[0]) < 1e-6f && fabsf(again[1] - first[1]) < 1e-6f, "a block that is not full");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* Each feature's part of the network's input, and a row after it scores as ever. */
static void
test_embedding(void)
{
	mml_model  *model = train("mean", "domain");
	mml_scorer *scorer = create(model, MML_MODE_GATE, 1);
	mml_rows   *rows = mml_scorer_rows(scorer);
	float		before = score_values(scorer, NULL, 7, "item 3");
	float		embedding[64];
	float		mean = 0.0f;
	mml_tensor_view view;

	for (int is_known = 0; is_known < 2; is_known++)
	{
		uint32_t	row = is_known ? mml_vocabulary_find(&model->fields[0].vocabulary, mml_hash_integer(7)) : 0;

		(void) mml_rows_begin(rows);
		(void) mml_put_integer(rows, 0, is_known ? 7 : 12345);
		for (int f = 1; f < 5; f++)
			(void) mml_put_null(rows, f);
		mml_rows_end_without_domain(rows);
		unit_check(mml_scorer_embedding(scorer, 0, embedding) == MML_OK && mml_rows_count(rows) == 0, "embedding: %s",
				   unit_error(&unit.host));
		unit_check(mml_model_tensor(model, "embedding.user", &view) && (row != 0) == is_known &&
				   memcmp(embedding, view.values + row * view.stride, view.cols * sizeof(float)) == 0,
				   "the embedding of a user is a row of the table");
	}
	(void) mml_rows_begin(rows);
	for (int f = 0; f < 5; f++)
		(void) mml_put_null(rows, f);
	(void) mml_rows_end_scoring(rows, "nowhere", 7);
	unit_check(mml_scorer_embedding(scorer, mml_model_features(model), embedding) == MML_OK &&
			   mml_model_tensor(model, "embedding.domain", &view), "embedding: %s", unit_error(&unit.host));
	for (size_t i = 1; i < view.rows; i++)
		mean += view.values[i * view.stride] / (float) (view.rows - 1);
	unit_close(embedding[0], mean, 1e-6, "the embedding of an unknown domain is the mean");
	unit_check(score_values(scorer, NULL, 7, "item 3") == before, "a score repeats after embeddings");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* What a row loses without a feature: against rows that never had it. */
static void
check_explain(const char *gate, mml_mode mode)
{
	mml_model  *model = train("mean", gate);
	mml_scorer *scorer = create(model, mode, 3);
	double		start;
	double		effects[UNIT_MAX_FEATURES];
	float		weights[64];
	float		logits[3];
	float		sum = 0.0f;
	mml_model_facts facts;

	mml_model_get_facts(model, &facts);
	for (size_t i = 0; i < 20; i++)
	{
		unit_check(unit_push_scoring(mml_scorer_rows(scorer), &data, i) == MML_OK &&
				   mml_scorer_explain(scorer, &start, effects, weights) == MML_OK, "explain: %s", unit_error(&unit.host));
		for (int row = 0; row < 3; row++)
		{
			mml_rows   *rows = mml_scorer_rows(scorer);

			unit_check(unit_push_scoring(rows, &data, i) == MML_OK, "row %zu", i);
			for (int f = 0; row > 0 && f < mml_model_features(model); f++)
			{
				/* the last row has no user, the second one nothing */
				if (row == 2 && f > 0)
					break;
				if (model->fields[f].kind == MML_CATEGORICAL)
					mml_put_id(rows, f, MML_ID_UNKNOWN);
				else
					(void) mml_put_null(rows, f);
			}
		}
		unit_check(mml_score_logits(scorer, logits) == MML_OK, "score: %s", unit_error(&unit.host));
		unit_close(start, logits[1], 1e-5, "logit of nothing known");
		unit_close(effects[0], (double) logits[0] - logits[2], 1e-5, "effect of the user");
	}
	for (int e = 0; e < facts.n_experts; e++)
		sum += weights[e];
	unit_close(sum, mode == MML_MODE_BACKBONE ? 0.0 : 1.0, 1e-6, "sum of weights");
	mml_scorer_free(scorer);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%ld pieces are held", unit.n_held);
}

static void
test_explain(void)
{
	check_explain("domain", MML_MODE_BACKBONE);
	check_explain("domain", MML_MODE_OWN);
	check_explain("domain", MML_MODE_GATE);
	check_explain("input", MML_MODE_GATE);
}

/* What is refused in a row leaves no trace in the next ones. */
static void
test_refused_rows(void)
{
	mml_model  *model = train("error", "domain");
	mml_scorer *scorer = create(model, MML_MODE_GATE, 16);
	mml_rows   *rows = mml_scorer_rows(scorer);
	float		expected[16];
	float		scores[16];
	float		wrong[2] = {1, 2};

	score_rows(scorer, 16, expected);
	for (size_t i = 0; i < 16; i++)
	{
		(void) mml_rows_begin(rows);
		(void) mml_put_integer(rows, 0, 3);
		(void) mml_put_items_begin(rows, 3);
		for (int j = 0; j < 100; j++)
			(void) mml_put_item_integer(rows, 3, j);
		unit_check(mml_put_real(rows, 2, i % 2 ? NAN : INFINITY) == MML_BAD_DATA, "a number that is none");
		(void) mml_rows_begin(rows);
		unit_check(mml_put_vector(rows, 4, wrong, 2) == MML_BAD_DATA, "a vector of another width");
		(void) mml_rows_begin(rows);
		(void) unit_put_values(rows, &data, i + 1);
		unit_check(mml_rows_end_scoring(rows, "nobody's", 8) == MML_UNKNOWN_DOMAIN, "unknown_domain = error");
		unit_check(strcmp(unit_error(&unit.host), "domain \"nobody's\" is unknown to the model") == 0, "says \"%s\"",
				   unit_error(&unit.host));
		unit_check(unit_push_scoring(rows, &data, i) == MML_OK, "row %zu", i);
	}
	unit_check(mml_score(scorer, scores) == MML_OK && memcmp(scores, expected, sizeof(scores)) == 0,
			   "refused rows change the scores of others");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* Numbers far beyond those of training: a probability or an error, never NaN. */
static void
test_far_numbers(mml_mode mode, const char *gate)
{
	static const double prices[] = {1e20, -1e37, 1e38, 1e39, -1e300};
	float		vector[3] = {3e38f, -3e38f, 3e38f};
	mml_model  *model = train("backbone", gate);
	mml_scorer *scorer = create(model, mode, 1);
	mml_rows   *rows = mml_scorer_rows(scorer);
	float		expected;
	float		score;
	int			n_refused = 0;

	score_rows(scorer, 1, &expected);
	for (int i = 0; i < 10; i++)
	{
		mml_status	status = mml_rows_begin(rows);

		(void) unit_put_values(rows, &data, 1);
		status = mml_put_real(rows, 2, prices[i % 5]);
		if (i < 5)
			(void) mml_put_vector(rows, 4, vector, 3);
		if (status == MML_OK)
			status = mml_rows_end_scoring(rows, "d0", 2);
		if (status == MML_OK)
			status = mml_score(scorer, &score);
		unit_check(status == MML_BAD_DATA || (status == MML_OK && score >= 0.0f && score <= 1.0f),
				   "%g: status %d, score %g", prices[i % 5], status, score);
		n_refused += status != MML_OK;
		mml_rows_reset(rows);
		score_rows(scorer, 1, &score);
		unit_check(score == expected, "%g: another score after it", prices[i % 5]);
	}
	unit_check(n_refused >= 4, "what no float holds is refused: %d of 10", n_refused);
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* Without memory or cancelled: after a reset it scores as before. */
static void
test_recovery(mml_mode mode, const char *gate)
{
	mml_model  *model = train("backbone", gate);
	mml_scorer *scorer = create(model, mode, 16);
	mml_scorer *fresh;
	float		expected[16];
	float		scores[16];
	int			n_failed = 0;

	score_rows(scorer, 16, expected);
	for (long fails = 1; fails < 20; fails++)
	{
		mml_status	status = MML_OK;

		fresh = create(model, mode, 16);
		unit.n_allocations = 0;
		unit.fails_at = fails;
		for (size_t i = 0; status == MML_OK && i < 16; i++)
			status = unit_push_scoring(mml_scorer_rows(fresh), &data, i);
		if (status == MML_OK)
			status = mml_score(fresh, scores);
		unit.fails_at = 0;
		unit_check(status == MML_OK || status == MML_OUT_OF_MEMORY, "allocation %ld: status %d", fails, status);
		n_failed += status != MML_OK;
		mml_rows_reset(mml_scorer_rows(fresh));
		score_rows(fresh, 16, scores);
		unit_check(memcmp(scores, expected, sizeof(scores)) == 0, "allocation %ld: other scores after it", fails);
		mml_scorer_free(fresh);
	}
	unit_check(n_failed > 0, "no allocation failed");
	unit.stops = true;
	for (size_t i = 0; i < 16; i++)
		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
	unit_check(mml_score(scorer, scores) == MML_CANCELLED, "nobody asked whether to stop");
	unit.stops = false;
	mml_rows_reset(mml_scorer_rows(scorer));
	score_rows(scorer, 16, scores);
	unit_check(memcmp(scores, expected, sizeof(scores)) == 0, "other scores after a stop");
	mml_scorer_free(scorer);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

/* Pushes and scores 16 rows; false when an allocation or a poll left by longjmp. */
static bool
score_or_jump(mml_scorer *scorer, float *scores)
{
	jmp_buf		jump;

	unit.jump = &jump;
	if (setjmp(jump) != 0)
	{
		unit.jump = NULL;
		return false;
	}
	score_rows(scorer, 16, scores);
	unit.jump = NULL;
	return true;
}

/* A server's errors do not return: a scorer that outlives one must be as sound as before. */
static void
test_jumps(mml_mode mode, const char *gate)
{
	mml_model  *model = train("backbone", gate);
	mml_scorer *scorer = create(model, mode, 16);
	float		expected[16];
	float		scores[16];
	int			n_jumps = 0;

	score_rows(scorer, 16, expected);
	mml_scorer_free(scorer);
	for (long n = 1; n < 30; n++)
	{
		scorer = create(model, mode, 16);
		unit.n_allocations = unit.n_polls = 0;
		unit.fails_at = n < 15 ? n : 0;
		unit.stops_at = n < 15 ? 0 : n - 14;
		n_jumps += !score_or_jump(scorer, scores);
		unit.fails_at = unit.stops_at = 0;
		mml_rows_reset(mml_scorer_rows(scorer));
		score_rows(scorer, 16, scores);
		unit_check(memcmp(scores, expected, sizeof(scores)) == 0, "jump %ld: other scores after it", n);
		mml_scorer_free(scorer);
	}
	unit_check(n_jumps > 3, "only %d jumps", n_jumps);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

/* Few rows of a domain go through its tower as a single one does, to the same bits. */
static void
test_few_rows(mml_mode mode)
{
	mml_config	config;
	mml_model  *model;
	mml_scorer *scorer;
	float		together[7];
	float		alone[7];

	unit_config_init(&config);
	unit_data_init(&data);
	config.hidden[0] = 50;
	config.hidden[1] = 30;
	data.features = UNIT_PRICE | UNIT_TAGS;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	scorer = create(model, mode, 7);
	score_rows(scorer, 7, together);
	for (size_t i = 0; i < 7; i++)
	{
		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
		(void) mml_score(scorer, &alone[i]);
	}
	unit_check(memcmp(together, alone, sizeof(alone)) == 0, "few rows score otherwise than one");
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* Polls while a block of n rows is scored. */
static long
polls_of_block(mml_scorer *scorer, size_t n, float *scores)
{
	for (size_t i = 0; i < n; i++)
		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
	unit.n_polls = 0;
	unit_check(mml_score(scorer, scores) == MML_OK, "score: %s", unit_error(&unit.host));
	return unit.n_polls;
}

/* Between towers, each of which may have to be folded; and within the rows of one where layers are wide. */
static void
test_polls(mml_mode mode, const char *gate)
{
	enum
	{
		N_ROWS = 510,
	};
	mml_config	config;
	mml_model  *model = train("backbone", gate);
	mml_scorer *scorer = create(model, mode, N_ROWS);
	float		scores[N_ROWS];
	float		alone;
	long		n_polls = polls_of_block(scorer, N_ROWS, scores);

	unit_check(n_polls == (mode == MML_MODE_OWN ? 3 : 2), "%ld polls for 3 domains, or 2 layers", n_polls);
	mml_scorer_free(scorer);
	scorer = create(model, MML_MODE_BACKBONE, N_ROWS);
	n_polls = polls_of_block(scorer, N_ROWS, scores);
	unit_check(n_polls == 1, "%ld polls for the one tower of the backbone", n_polls);
	mml_scorer_free(scorer);
	mml_model_free(model);

	unit_config_init(&config);
	(void) unit_set(&config, "gate", gate);
	config.hidden[0] = config.hidden[1] = 1024;
	config.batch_size = 512;
	config.epochs = 1;
	data.n_domains = 1;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	scorer = create(model, mode, N_ROWS);
	n_polls = polls_of_block(scorer, N_ROWS, scores);
	unit_check(n_polls == (mode == MML_MODE_OWN ? 2 : 6), "%ld polls for 2 pieces of a wide net, or 2 layers of 3", n_polls);
	for (size_t i = 0; i < N_ROWS; i += 37)
	{
		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
		(void) mml_score(scorer, &alone);
		unit_close(scores[i], alone, 1e-6, "score of a row in pieces and alone");
	}
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* The most bytes that a scorer says it takes over 300 rows, one by one. */
static size_t
most_bytes(const mml_model *model, mml_mode mode, size_t fold_limit)
{
	mml_scorer *scorer;
	size_t		most = 0;

	(void) mml_scorer_create(&unit.host, model, mode, 1, fold_limit, &scorer);
	for (size_t i = 0; i < 300; i++)
	{
		float		score;

		(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
		(void) mml_score(scorer, &score);
		most = MML_MAX(most, mml_scorer_bytes(scorer));
	}
	mml_scorer_free(scorer);
	return most;
}

/* At most fold_limit bytes of towers, but one at least. */
static void
test_fold_limit(void)
{
	mml_model  *model = train("backbone", "domain");
	size_t		without = most_bytes(model, MML_MODE_BACKBONE, 0);
	/* layers x 8 and 8 x 4, with biases; two domains have experts */
	size_t		tower = (((size_t) model->params->shape.width[0] + 1) * 8 + 9 * 4) * sizeof(float);

	unit_check(model->facts.n_experts == 2, "%d experts", model->facts.n_experts);
	unit_check(most_bytes(model, MML_MODE_OWN, 0) == without + tower, "no room: one tower all the same");
	unit_check(most_bytes(model, MML_MODE_OWN, tower * 2 - 1) == without + tower, "room for almost two");
	unit_check(most_bytes(model, MML_MODE_OWN, tower * 2) == without + tower * 2, "room for two");
	unit_check(most_bytes(model, MML_MODE_GATE, 1 << 20) == without + tower * 2, "room for many, but there are two");
	mml_model_free(model);
}

/* A scorer that takes blocks takes about the bytes that it may, unless it would be no faster with more rows. */
static void
test_blocks(const mml_model *model, mml_mode mode, size_t most_rows)
{
	mml_scorer *few = create(model, mode, 8);
	size_t		alone;			/* with a page for lists */

	for (size_t i = 0; i < 8; i++)
		(void) unit_push_scoring(mml_scorer_rows(few), &data, i);
	alone = mml_scorer_bytes(few);
	for (size_t kb = 0; kb <= 16384; kb = kb == 0 ? 1 : kb * 2)
	{
		mml_scorer *scorer;
		size_t		capacity;
		size_t		bytes;

		unit_check(mml_scorer_create_blocks(&unit.host, model, mode, kb << 10, 1 << 20, &scorer) == MML_OK, "create");
		capacity = mml_scorer_capacity(scorer);
		unit_check(capacity >= 8 && capacity <= most_rows, "%zu rows for %zu kB", capacity, kb);
		for (size_t i = 0; i < capacity; i++)
			(void) unit_push_scoring(mml_scorer_rows(scorer), &data, i);
		unit_check(mml_rows_full(mml_scorer_rows(scorer)), "full");
		bytes = mml_scorer_bytes(scorer) - alone;
		if (capacity > 8 && capacity < most_rows)
		{
			double		expected = (double) (kb << 10) * (double) (capacity - 8) / (double) capacity;

			unit_check((double) bytes > 0.5 * expected && (double) bytes < expected + 65536.0,
					   "%zu rows for %zu kB take %zu bytes more than 8", capacity, kb, bytes);
		}
		unit_check(capacity == most_rows || kb < 16384, "%zu rows for %zu kB", capacity, kb);
		mml_scorer_free(scorer);
	}
	mml_scorer_free(few);
}

/* Blocks are larger where domains have weights of their own, however many they are. */
static void
test_blocks_of_domains(void)
{
	const int	n_domains[] = {3, 20, 200};

	for (int i = 0; i < 3; i++)
	{
		mml_model  *model = train_domains("backbone", "domain", n_domains[i]);

		test_blocks(model, MML_MODE_OWN, MML_SCORER_ROWS);
		test_blocks(model, MML_MODE_GATE, MML_SCORER_ROWS);
		test_blocks(model, MML_MODE_BACKBONE, 512);
		mml_model_free(model);
		model = train_domains("backbone", "input", n_domains[i]);
		test_blocks(model, MML_MODE_GATE, 512);
		mml_model_free(model);
	}
}

/* Rows with long lists, many of which are refused, for ever: the memory for lists is used again. */
static void
test_lists_for_ever(void)
{
	mml_model  *model = train("backbone", "domain");
	mml_scorer *scorer = create(model, MML_MODE_GATE, 1);
	mml_rows   *rows = mml_scorer_rows(scorer);
	size_t		before = 0;

	for (int i = 0; i < 100; i++)
	{
		float		score;

		if (i == 5)
			before = mml_scorer_bytes(scorer);
		(void) mml_rows_begin(rows);
		(void) unit_put_values(rows, &data, 0);
		(void) mml_put_items_begin(rows, 3);
		for (int j = 0; j < 5000; j++)
			(void) mml_put_item_integer(rows, 3, j % 7);
		(void) mml_put_items_end(rows, 3);
		if (i % 3 == 0)
			continue;			/* as when a later value of the row is refused */
		(void) mml_rows_end_scoring(rows, "d0", 2);
		(void) mml_score(scorer, &score);
	}
	unit_check(mml_scorer_bytes(scorer) == before, "a scorer grows from %zu bytes to %zu", before,
			   mml_scorer_bytes(scorer));
	mml_scorer_free(scorer);
	mml_model_free(model);
}

/* More rows than go through the network at once: each batch has rows of few domains, and every score is where its row was. */
static void
test_batches(mml_mode mode, const char *gate)
{
	enum
	{
		N_ROWS = 1300,
	};
	mml_model  *model = train("backbone", gate);
	mml_scorer *scorer = create(model, mode, N_ROWS);
	mml_scorer *one = create(model, mode, 1);
	float		scores[N_ROWS];
	long		n_polls = polls_of_block(scorer, N_ROWS, scores);

	unit_check(n_polls == (mode == MML_MODE_OWN ? 5 : 6), "%ld polls for 3 domains in 3 batches, or 2 layers", n_polls);
	for (size_t i = 0; i < N_ROWS; i++)
	{
		float		alone;

		(void) unit_push_scoring(mml_scorer_rows(one), &data, i);
		(void) mml_score(one, &alone);
		unit_close(scores[i], alone, 1e-6, "score of a row among many and alone");
	}
	mml_scorer_free(scorer);
	mml_scorer_free(one);
	mml_model_free(model);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_values();
	test_modes();
	test_capacity();
	test_embedding();
	test_explain();
	test_refused_rows();
	test_far_numbers(MML_MODE_GATE, "domain");
	test_far_numbers(MML_MODE_GATE, "input");
	test_recovery(MML_MODE_OWN, "domain");
	test_recovery(MML_MODE_GATE, "input");
	test_jumps(MML_MODE_OWN, "domain");
	test_jumps(MML_MODE_GATE, "input");
	test_few_rows(MML_MODE_BACKBONE);
	test_few_rows(MML_MODE_OWN);
	test_polls(MML_MODE_OWN, "domain");
	test_polls(MML_MODE_GATE, "input");
	test_batches(MML_MODE_OWN, "domain");
	test_batches(MML_MODE_GATE, "input");
	test_fold_limit();
	test_blocks_of_domains();
	test_lists_for_ever();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
