/*
 * test_linalg.c - every function of linalg.c against a naive twin, and softmax.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define GAP 1234.5f				/* stands between rows of a matrix: nobody may touch it */

/* A matrix of its own memory with leading dimension cols + 3, filled from a stream. */
typedef struct matrix
{
	size_t		rows;
	size_t		cols;
	size_t		ld;
	float	   *x;
} matrix;

static matrix
matrix_of(size_t rows, size_t cols, uint64_t key)
{
	matrix		m = {.rows = rows,.cols = cols,.ld = cols + 3};

	m.x = malloc((rows * m.ld + 1) * sizeof(float));
	for (size_t i = 0; i < rows * m.ld; i++)
		m.x[i] = i % m.ld < cols ? (float) mml_normal(key, i) : GAP;
	return m;
}

static bool
gaps_are_whole(const matrix *m)
{
	for (size_t i = 0; i < m->rows * m->ld; i++)
		if (i % m->ld >= m->cols && m->x[i] != GAP)
			return false;
	return true;
}

static double
at(const matrix *m, bool transpose, size_t i, size_t j)
{
	return transpose ? m->x[j * m->ld + i] : m->x[i * m->ld + j];
}

/* Bound of a float sum of k products of numbers about 1. */
static double
bound(size_t k)
{
	return 1e-6 * (double) (k + 4);
}

/* --------------------------------------------------------------- products */

static void
check_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, float beta)
{
	matrix		a = matrix_of(ta ? k : m, ta ? m : k, 1);
	matrix		b = matrix_of(tb ? n : k, tb ? k : n, 2);
	matrix		c = matrix_of(m, n, 3);
	matrix		before = matrix_of(m, n, 3);
	double		worst = 0.0;

	/* beta 0 must not even read c */
	for (size_t i = 0; beta == 0.0f && i < m; i++)
		for (size_t j = 0; j < n; j++)
			c.x[i * c.ld + j] = NAN;
	mml_gemm(ta, tb, m, n, k, alpha, a.x, a.ld, b.x, b.ld, beta, c.x, c.ld);
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++)
		{
			double		sum = 0.0;
			double		error;

			for (size_t l = 0; l < k; l++)
				sum += at(&a, ta, i, l) * at(&b, tb, l, j);
			sum *= alpha;
			if (beta != 0.0f)
				sum += beta * at(&before, false, i, j);
			error = fabs(sum - at(&c, false, i, j));
			worst = error <= worst ? worst : error;	/* NaN becomes the worst */
		}
	unit_check(worst <= bound(k) && gaps_are_whole(&c), "gemm %d%d m %zu n %zu k %zu alpha %g beta %g: off by %g",
			   ta, tb, m, n, k, alpha, beta, worst);
	free(a.x);
	free(b.x);
	free(c.x);
	free(before.x);
}

static void
test_gemm(void)
{
	static const size_t sizes[][3] = {
		{1, 1, 1}, {1, 7, 5}, {1, 1, 9}, {5, 1, 3}, {3, 5, 1}, {13, 17, 19}, {64, 33, 31}, {2, 3, 0}, {1, 4, 0},
		{0, 3, 2}, {3, 0, 2}, {129, 8, 65}
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int t = 0; t < 4; t++)
		{
			check_gemm(t & 1, t & 2, sizes[i][0], sizes[i][1], sizes[i][2], 1.0f, 0.0f);
			check_gemm(t & 1, t & 2, sizes[i][0], sizes[i][1], sizes[i][2], -0.5f, 1.0f);
			check_gemm(t & 1, t & 2, sizes[i][0], sizes[i][1], sizes[i][2], 2.0f, 0.25f);
		}
}

static void
check_gemv(bool transpose, size_t m, size_t n, float beta)
{
	matrix		a = matrix_of(m, n, 4);
	matrix		x = matrix_of(1, transpose ? m : n, 5);
	matrix		y = matrix_of(1, transpose ? n : m, 6);
	matrix		before = matrix_of(1, transpose ? n : m, 6);
	double		worst = 0.0;

	for (size_t i = 0; beta == 0.0f && i < y.cols; i++)
		y.x[i] = NAN;
	mml_gemv(transpose, m, n, 1.5f, a.x, a.ld, x.x, beta, y.x);
	for (size_t i = 0; i < y.cols; i++)
	{
		double		sum = beta == 0.0f ? 0.0 : beta * before.x[i];
		double		error;

		for (size_t j = 0; j < x.cols; j++)
			sum += 1.5 * at(&a, transpose, i, j) * x.x[j];
		error = fabs(sum - y.x[i]);
		worst = error <= worst ? worst : error;
	}
	unit_check(worst <= bound(x.cols) && gaps_are_whole(&y), "gemv %d %zu x %zu beta %g: off by %g",
			   transpose, m, n, beta, worst);
	free(a.x);
	free(x.x);
	free(y.x);
	free(before.x);
}

static void
test_gemv(void)
{
	static const size_t sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {17, 33}, {128, 63}, {0, 3}, {3, 0}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int t = 0; t < 2; t++)
		{
			check_gemv(t, sizes[i][0], sizes[i][1], 0.0f);
			check_gemv(t, sizes[i][0], sizes[i][1], 1.0f);
			check_gemv(t, sizes[i][0], sizes[i][1], -2.0f);
		}
}

static void
test_vectors(void)
{
	for (size_t n = 0; n <= 67; n += n < 9 ? 1 : 29)
	{
		matrix		x = matrix_of(1, n, 7);
		matrix		y = matrix_of(1, n, 8);
		matrix		before = matrix_of(1, n, 8);
		double		dot = 0.0;
		double		worst = 0.0;

		for (size_t i = 0; i < n; i++)
			dot += (double) x.x[i] * y.x[i];
		unit_check(fabs(mml_dot(n, x.x, y.x) - dot) <= bound(n), "dot of %zu", n);
		mml_axpy(n, -3.0f, x.x, y.x);
		for (size_t i = 0; i < n; i++)
			worst = fmax(worst, fabs(before.x[i] - 3.0 * x.x[i] - y.x[i]));
		unit_check(worst <= 1e-6 && gaps_are_whole(&y), "axpy of %zu: off by %g", n, worst);
		free(x.x);
		free(y.x);
		free(before.x);
	}
}

static void
test_column_sums(void)
{
	static const size_t sizes[][2] = {{0, 4}, {1, 1}, {1, 5}, {33, 7}, {100, 65}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		matrix		a = matrix_of(sizes[s][0], sizes[s][1], 9);
		matrix		y = matrix_of(1, sizes[s][1], 10);
		double		worst = 0.0;

		mml_column_sums(a.rows, a.cols, a.x, a.ld, y.x);
		for (size_t j = 0; j < a.cols; j++)
		{
			double		sum = 0.0;

			for (size_t i = 0; i < a.rows; i++)
				sum += at(&a, false, i, j);
			worst = fmax(worst, fabs(sum - y.x[j]));
		}
		unit_check(worst <= bound(a.rows) && gaps_are_whole(&y), "column sums of %zu x %zu: off by %g",
				   a.rows, a.cols, worst);
		free(a.x);
		free(y.x);
	}
}

static void
test_softmax(void)
{
	float		x[4] = {1.0f, 2.0f, -1.0f, 0.5f};
	float		huge[3] = {1e30f, -1e30f, 1e30f};
	float		gone[3] = {0.0f, -INFINITY, 0.0f};
	float		one[2] = {-7.0f, 300.0f};
	double		sum = exp(1.0) + exp(2.0) + exp(-1.0) + exp(0.5);

	mml_softmax(x, 1, 4);
	unit_close(x[0], exp(1.0) / sum, 1e-7, "softmax");
	unit_close(x[2], exp(-1.0) / sum, 1e-7, "softmax of a negative number");
	mml_softmax(huge, 1, 3);
	unit_check(huge[0] == 0.5f && huge[1] == 0.0f && huge[2] == 0.5f, "softmax of huge numbers");
	/* an expert that was added later stands at -infinity for the older domains */
	mml_softmax(gone, 1, 3);
	unit_check(gone[0] == 0.5f && gone[1] == 0.0f, "softmax with -infinity: %g %g", gone[0], gone[1]);
	mml_softmax(one, 2, 1);
	unit_check(one[0] == 1.0f && one[1] == 1.0f, "softmax of two rows of one number");
}

/* ------------------------------------------------------------------- sort */

/* Keys: `kind` 0 all bits random, 1 few distinct, 2 all equal, 3 high bits only, 4 descending. */
static uint64_t
key_of(int kind, size_t i, size_t n)
{
	switch (kind)
	{
		case 0:
			return mml_mix(i + 1);
		case 1:
			return mml_mix(i + 1) % 7;
		case 2:
			return 42;
		case 3:
			return mml_mix(i + 1) & 0xFFC0000000000000ULL;
		default:
			return n - i;
	}
}

static void
check_sort(mml_host *host, int kind, size_t n)
{
	uint64_t   *keys = malloc((n + 1) * sizeof(uint64_t));
	uint64_t   *spare_keys = malloc((n + 1) * sizeof(uint64_t));
	uint32_t   *values = malloc((n + 1) * sizeof(uint32_t));
	uint32_t   *spare_values = malloc((n + 1) * sizeof(uint32_t));
	unsigned char *seen = calloc(n + 1, 1);
	bool		is_sorted = true;

	for (size_t i = 0; i < n; i++)
	{
		keys[i] = key_of(kind, i, n);
		values[i] = (uint32_t) i;
	}
	unit_check(mml_sort(host, keys, values, spare_keys, spare_values, n) == MML_OK, "sort fails");
	for (size_t i = 0; i < n; i++)
	{
		/* each value once, beside its own key; equal keys in the order in which they came */
		is_sorted = is_sorted && values[i] < n && !seen[values[i]] && keys[i] == key_of(kind, values[i], n);
		is_sorted = is_sorted && (i == 0 || keys[i - 1] < keys[i] || (keys[i - 1] == keys[i] &&
																	  values[i - 1] < values[i]));
		if (!is_sorted)
			break;
		seen[values[i]] = 1;
	}
	unit_check(is_sorted, "sort of %zu, kind %d", n, kind);
	free(keys);
	free(spare_keys);
	free(values);
	free(spare_values);
	free(seen);
}

static void
test_sort(void)
{
	static const size_t sizes[] = {0, 1, 2, 31, 32, 33, 1000, 65536, 70001, 200000};
	unit_host	unit;
	uint64_t   *keys = malloc(200000 * 2 * sizeof(uint64_t));
	uint32_t   *values = calloc(200000 * 2, sizeof(uint32_t));

	unit_host_init(&unit);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int kind = 0; kind < 5; kind++)
			check_sort(&unit.host, kind, sizes[s]);
	for (size_t i = 0; i < 200000; i++)
		keys[i] = mml_mix(i);
	unit.stops = true;
	unit_check(mml_sort(&unit.host, keys, values, keys + 200000, values + 200000, 200000) == MML_CANCELLED,
			   "a long sort can be cancelled");
	free(keys);
	free(values);
}

static void
test_order_of_double(void)
{
	static const double ascending[] = {
		-INFINITY, -1e308, -2.0, -1.5, -1e-308, -4.9e-324, 0.0,
		4.9e-324, 1e-308, 1.0, 1.0000000000000002, 3.0, 1e308, INFINITY
	};

	for (size_t i = 1; i < sizeof(ascending) / sizeof(ascending[0]); i++)
		unit_check(mml_order_of_double(ascending[i - 1]) < mml_order_of_double(ascending[i]),
				   "order of %g and %g", ascending[i - 1], ascending[i]);
	unit_check(mml_order_of_double(-0.0) == mml_order_of_double(0.0), "-0 is 0");
}

/* c = op(a) b, gaps between the rows of all three, against a sum in double. */
static void
check_small_product(bool transposed, size_t m, size_t n, size_t k)
{
	matrix		a = matrix_of(transposed ? k : m, transposed ? m : k, 1);
	matrix		b = matrix_of(k, n, 2);
	matrix		c = matrix_of(m, n, 3);
	double		worst = 0.0;

	mml_small_product(m, n, k, a.x, transposed ? 1 : a.ld, transposed ? a.ld : 1, b.x, b.ld, c.x, c.ld);
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++)
		{
			double		sum = 0.0;

			for (size_t l = 0; l < k; l++)
				sum += at(&a, transposed, i, l) * at(&b, false, l, j);
			worst = fmax(worst, fabs(sum - at(&c, false, i, j)));
		}
	unit_check(worst <= bound(k) && gaps_are_whole(&c), "small product, a %s, m %zu n %zu k %zu: off by %g",
			   transposed ? "transposed" : "as it is", m, n, k, worst);
	free(a.x);
	free(b.x);
	free(c.x);
}

static void
test_small_product(void)
{
	for (size_t m = 1; m <= 9; m++)
		for (size_t n = MML_LANES; n <= 3 * MML_LANES; n += MML_LANES)
			for (size_t k = 1; k <= 9; k += 4)
			{
				check_small_product(false, m, n, k);
				check_small_product(true, m, n, k);
			}
	unit_check(MML_PADDED(1) == 8 && MML_PADDED(8) == 8 && MML_PADDED(9) == 16, "padding");
}

/* y: [n] = x w in double */
static double
worst_of_product(size_t m, size_t n, const float *x, const float *w, const float *y)
{
	double		worst = 0.0;

	for (size_t j = 0; j < n; j++)
	{
		double		sum = 0.0;

		for (size_t i = 0; i < m; i++)
			sum += x[i] == 0.0f ? 0.0 : (double) x[i] * w[i * n + j];
		worst = fabs(sum - y[j]) <= worst ? worst : fabs(sum - y[j]);
	}
	return worst;
}

/* Every so many numbers of x are not 0; the rows of the others are not even read. */
static void
check_sparse_product(size_t m, size_t n, size_t every)
{
	float	   *x = malloc((m + 1) * sizeof(float));
	float	   *w = malloc((m * n + 1) * sizeof(float));
	float	   *y = malloc((n + 1) * sizeof(float));

	y[n] = GAP;
	for (size_t i = 0; i < m; i++)
	{
		x[i] = every > 0 && i % every == every - 1 ? (float) mml_normal(5, i) : 0.0f;
		for (size_t j = 0; j < n; j++)
			w[i * n + j] = x[i] == 0.0f ? NAN : (float) mml_normal(6, i * n + j);
	}
	mml_sparse_product(m, n, x, w, y);
	unit_check(worst_of_product(m, n, x, w, y) <= bound(m) && y[n] == GAP, "product of %zu numbers, one of %zu not 0, and %zu columns: off by %g",
			   m, every, n, worst_of_product(m, n, x, w, y));
	free(x);
	free(w);
	free(y);
}

/* Chunks made anew, made and kept, taken from what was kept: the same bits. */
static void
check_chunked_product(size_t m, size_t n)
{
	size_t		n_chunks = m / MML_CHUNK;
	float	   *x = malloc((m + 1) * sizeof(float));
	float	   *w = malloc((m * n + 1) * sizeof(float));
	float	   *sums = calloc(n_chunks * n + 1, sizeof(float));
	uint8_t    *uses = calloc(n_chunks + 1, 1);
	float	   *y = malloc((n + 1) * sizeof(float));
	float	   *again = malloc((n + 1) * sizeof(float));

	y[n] = GAP;
	for (size_t i = 0; i < m; i++)
		x[i] = (float) mml_normal(7, i);
	for (size_t i = 0; i < m * n; i++)
		w[i] = (float) mml_normal(8, i);
	mml_chunked_product(m, n, x, w, uses, sums, y);
	unit_check(worst_of_product(m, n, x, w, y) <= bound(m) && y[n] == GAP, "product in chunks of %zu x %zu: off by %g", m, n,
			   worst_of_product(m, n, x, w, y));
	for (size_t c = 0; c < n_chunks; c += 2)
		uses[c] = MML_CHUNK_KEEP;
	mml_chunked_product(m, n, x, w, uses, sums, again);
	unit_check(memcmp(y, again, n * sizeof(float)) == 0, "%zu x %zu: other bits where chunks are kept", m, n);
	for (size_t c = 0; c < n_chunks; c += 2)
	{
		uses[c] = MML_CHUNK_KEPT;
		x[c * MML_CHUNK] = NAN; /* is not looked at any more */
	}
	mml_chunked_product(m, n, x, w, uses, sums, again);
	unit_check(memcmp(y, again, n * sizeof(float)) == 0, "%zu x %zu: other bits from kept chunks", m, n);
	free(x);
	free(w);
	free(sums);
	free(uses);
	free(y);
	free(again);
}

static void
test_single_rows(void)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 64, 255, 256, 257, 600};

	for (size_t m = 0; m < sizeof(sizes) / sizeof(sizes[0]); m++)
		for (size_t n = 1; n <= 33; n += 8)
		{
			for (size_t every = 0; every <= 3; every++)
				check_sparse_product(sizes[m], n, every);
			check_chunked_product(sizes[m], n);
		}
}

static void
test_exp(void)
{
	float		x[4] = {0.0f, -200.0f, -INFINITY, 1e30f};
	double		worst = 0.0;

	mml_exp(4, x);
	unit_check(x[0] == 1.0f && x[1] == 0.0f && x[2] == 0.0f && isfinite(x[3]), "exp of 0, of much below, and above");
	for (double at = -86.9; at < 88.0; at += 0.0137)
	{
		float		y[3] = {(float) at, (float) at, 0.0f};

		mml_exp(3, y);
		worst = fmax(worst, fabs(y[1] / exp((double) (float) at) - 1.0));
		if (y[0] != y[1] || y[2] != 1.0f)
			worst = INFINITY;
	}
	unit_check(worst < 2e-7, "exp is off by %g", worst);
}

int
main(void)
{
	mml_init();
	test_small_product();
	test_single_rows();
	test_exp();
	test_gemm();
	test_gemv();
	test_vectors();
	test_column_sums();
	test_softmax();
	test_sort();
	test_order_of_double();
	return unit_done();
}
