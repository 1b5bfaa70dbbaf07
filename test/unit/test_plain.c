/*
 * test_plain.c - rows through a tower without experts against plain sums in
 * double; and what rows share: worked out once, without changing a bit of rows
 * that go one by one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_ROWS 40
#define N_TURNS_ROWS 300		/* in blocks of more than one user */
#define N_LAYERS 3
#define MAX_WIDTH 104

static unit_host unit;

/* Two towers of the same shape and rows to put through them. */
typedef struct trial
{
	mml_params	params;
	mml_net		net;
	float	   *value[1];		/* head */
	mml_tower	towers[2];
	mml_batch	batch;
	mml_recall	recall;
} trial;

static float *
numbers(size_t n, uint64_t key)
{
	float	   *x = malloc((n + 1) * sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = (float) mml_normal(key, i) * 0.3f;
	return x;
}

static void
open_trial(trial *t, int in)
{
	mml_shape	shape = {.n_layers = N_LAYERS,.width = {in, 21, 16, 3}};

	memset(t, 0, sizeof(*t));
	t->value[0] = numbers(3, 1);
	t->net = (mml_net) {.host = &unit.host,.shape = shape,.params = &t->params,.value = t->value};
	for (int l = 0; l < N_LAYERS; l++)
		for (int i = 0; i < 2; i++)
		{
			t->towers[i].id = (uint32_t) i;
			t->towers[i].weight[l] = numbers((size_t) shape.width[l] * (size_t) shape.width[l + 1], (uint64_t) (10 * l + i + 5));
			t->towers[i].bias[l] = numbers((size_t) shape.width[l + 1], (uint64_t) (10 * l + i + 7));
		}
	for (int l = 0; l <= N_LAYERS; l++)
		t->batch.h[l] = numbers(N_TURNS_ROWS * (size_t) shape.width[l], (uint64_t) (100 + l));
	t->batch.logit = calloc(N_TURNS_ROWS, sizeof(float));
	unit_check(mml_recall_create(&unit.host, &shape, &t->recall) == MML_OK, "%s", unit_error(&unit.host));
}

static void
close_trial(trial *t)
{
	for (int l = 0; l < N_LAYERS; l++)
		for (int i = 0; i < 2; i++)
		{
			free((void *) t->towers[i].weight[l]);
			free((void *) t->towers[i].bias[l]);
		}
	for (int l = 0; l <= N_LAYERS; l++)
		free(t->batch.h[l]);
	free(t->batch.logit);
	free(t->value[0]);
	mml_recall_free(&unit.host, &t->recall);
}

/* Whether input i is the same in all rows; the others change from row to row. */
typedef bool (*is_shared_function) (size_t i);

static bool
shares_nothing(size_t i)
{
	(void) i;
	return false;
}

static bool
shares_all(size_t i)
{
	(void) i;
	return true;
}

static bool
shares_start(size_t i)
{
	return i < 50;
}

static bool
shares_middle_and_end(size_t i)
{
	return (i >= 17 && i < 60) || i >= 72;
}

static bool
shares_bits(size_t i)
{
	return i / MML_CHUNK % 2 == 0;
}

/* Rows [start, start + n) share these with the first of them. */
static void
share_rows(trial *t, is_shared_function is_shared, size_t start, size_t n)
{
	size_t		in = (size_t) t->net.shape.width[0];

	for (size_t b = start + 1; b < start + n; b++)
		for (size_t i = 0; i < in; i++)
			if (is_shared(i))
				t->batch.h[0][b * in + i] = t->batch.h[0][start * in + i];
}

static void
share(trial *t, is_shared_function is_shared)
{
	share_rows(t, is_shared, 0, N_ROWS);
}

static double
logit_of(const trial *t, const mml_tower *tower, size_t b)
{
	double		h[MAX_WIDTH];
	double		logit = 0.0;

	for (int i = 0; i < t->net.shape.width[0]; i++)
		h[i] = t->batch.h[0][b * (size_t) t->net.shape.width[0] + (size_t) i];
	for (int l = 0; l < N_LAYERS; l++)
	{
		int			n_out = t->net.shape.width[l + 1];
		double		out[MAX_WIDTH];

		for (int j = 0; j < n_out; j++)
		{
			out[j] = tower->bias[l][j];
			for (int i = 0; i < t->net.shape.width[l]; i++)
				out[j] += h[i] * tower->weight[l][i * n_out + j];
			out[j] = fmax(out[j], 0.0);
		}
		memcpy(h, out, sizeof(h));
	}
	for (int i = 0; i < t->net.shape.width[N_LAYERS]; i++)
		logit += h[i] * t->value[0][i];
	return logit;
}

/* The chunks that the last row, or block, took from what was kept. */
static size_t
count_kept(const trial *t)
{
	size_t		n = 0;

	for (size_t c = 0; c < t->recall.n_chunks; c++)
		n += t->recall.uses[c] == MML_CHUNK_KEPT;
	return n;
}

static void
run(trial *t, const mml_tower *tower, size_t start, size_t n)
{
	memset(t->batch.logit + start, 0, n * sizeof(float));
	mml_plain_tower(&t->net, tower, &t->recall, &t->batch, start, n);
	for (size_t b = start; b < start + n; b++)
		unit_close(t->batch.logit[b], logit_of(t, tower, b), 1e-6, "a logit");
}

/* The same without anything that rows before it left. */
static void
run_fresh(trial *t, const mml_tower *tower, size_t b)
{
	mml_recall	recall = t->recall;

	memset(&t->recall, 0, sizeof(t->recall));
	(void) mml_recall_create(&unit.host, &t->net.shape, &t->recall);
	run(t, tower, b, 1);
	mml_recall_free(&unit.host, &t->recall);
	t->recall = recall;
}

/* Rows one by one, in turns of so many through each of the two towers: the bits that they have without those before. */
static void
check_single_rows(int in, is_shared_function is_shared, size_t turn, size_t n_kept)
{
	trial		t;
	float		logits[N_ROWS];

	open_trial(&t, in);
	share(&t, is_shared);
	for (size_t b = 0; b < N_ROWS; b++)
	{
		const mml_tower *tower = &t.towers[b / turn % 2];

		run_fresh(&t, tower, b);
		logits[b] = t.batch.logit[b];
		run(&t, tower, b, 1);
		unit_check(memcmp(&t.batch.logit[b], &logits[b], sizeof(float)) == 0,
				   "%d inputs, turns of %zu, row %zu: %a after others, %a alone", in, turn, b, t.batch.logit[b], logits[b]);
		unit_check(count_kept(&t) == (b % turn > 1 ? n_kept : 0), "%d inputs, turns of %zu, row %zu: %zu chunks kept", in,
				   turn, b, count_kept(&t));
	}
	close_trial(&t);
}

/* A block between single rows: what those kept is gone. */
static void
check_block(int in, is_shared_function is_shared, size_t n_kept)
{
	trial		t;
	float		alone;

	open_trial(&t, in);
	share(&t, is_shared);
	for (size_t b = 0; b < 3; b++)
		run(&t, &t.towers[0], b, 1);
	alone = t.batch.logit[2];
	run(&t, &t.towers[0], 0, N_ROWS);
	unit_check(count_kept(&t) == n_kept, "%d inputs: a block shares %zu chunks", in, count_kept(&t));
	run(&t, &t.towers[1], 1, 8);
	run(&t, &t.towers[0], 2, 1);
	unit_check(count_kept(&t) == 0 && memcmp(&t.batch.logit[2], &alone, sizeof(float)) == 0,
			   "%d inputs: a row after a block", in);
	close_trial(&t);
}

/* A block of which n_alone rows share nothing, and then each n of them something; what the last ones share is seen. */
static void
check_turns(size_t n_alone, size_t n, size_t n_kept)
{
	trial		t;

	open_trial(&t, 101);
	for (size_t b = n_alone; b < N_TURNS_ROWS; b += n)
		share_rows(&t, shares_start, b, b + n < N_TURNS_ROWS ? n : N_TURNS_ROWS - b);
	run(&t, &t.towers[0], 0, N_TURNS_ROWS);
	unit_check(count_kept(&t) == n_kept, "%zu rows alone, turns of %zu: %zu chunks shared", n_alone, n, count_kept(&t));
	close_trial(&t);
}

/* 0 and -0, NaN and NaN: what counts are the bits. */
static void
check_odd_inputs(void)
{
	trial		t;

	open_trial(&t, 16);
	share(&t, shares_all);
	for (size_t b = 0; b < 7; b++)
	{
		t.batch.h[0][b * 16] = b == 3 ? -0.0f : 0.0f;
		t.batch.h[0][b * 16 + 8] = NAN;
		mml_plain_tower(&t.net, &t.towers[0], &t.recall, &t.batch, b, 1);
		unit_check(count_kept(&t) == (b < 2 ? 0u : b == 2 || b == 6 ? 2u : 1u), "row %zu keeps %zu chunks", b,
				   count_kept(&t));
	}
	close_trial(&t);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	for (int in = 5; in <= MAX_WIDTH; in += 11)
	{
		check_single_rows(in, shares_nothing, N_ROWS, 0);
		check_single_rows(in, shares_all, 5, (size_t) in / MML_CHUNK);
		check_block(in, shares_nothing, 0);
		check_block(in, shares_all, in < 4 * MML_CHUNK ? 0 : (size_t) in / MML_CHUNK);
		check_block(in, shares_bits, 0);	/* too few in a row */
	}
	check_single_rows(101, shares_start, N_ROWS, 6);
	check_single_rows(101, shares_start, 1, 0);
	check_single_rows(101, shares_middle_and_end, 7, 4 + 3);
	check_single_rows(101, shares_bits, 3, 6);
	check_block(101, shares_start, 6);
	check_block(101, shares_middle_and_end, 4);
	check_block(104, shares_middle_and_end, 8);
	check_turns(0, 64, 6);
	check_turns(0, 100, 6);
	check_turns(0, 60, 0);		/* too few */
	check_turns(10, 145, 6);
	check_turns(100, 200, 6);
	check_turns(250, 50, 0);
	check_odd_inputs();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
