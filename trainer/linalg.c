/*
 * linalg.c - dense algebra, row-major.  The only file that knows CBLAS; where
 * BLAS has no word for it, a plain loop.  Naive twins stand in the unit tests.
 */
#include <cblas.h>
#include <string.h>

#include "mml_math.h"

#define DIGIT_BITS 11
#define DIGITS ((size_t) 1 << DIGIT_BITS)
#define SORT_POLL 65536			/* elements between two polls */
#define FIRST 128				/* smaller products may do without OpenBLAS's memory */

/* OpenBLAS takes its memory at the first product, and keeps it. */
void
mml_linalg_init(void)
{
	static const float zeros[FIRST * FIRST];
	float		product[FIRST * FIRST];

	openblas_set_num_threads(1);
	mml_gemm(false, false, FIRST, FIRST, FIRST, 1.0f, zeros, FIRST, zeros, FIRST, 0.0f, product, FIRST);
}

void
mml_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
		 const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
	if (m == 0 || n == 0)
		return;
	if (k == 0)
	{
		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < n; j++)
				c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
		return;
	}
	if (m == 1 && !transpose_a)
	{
		/* one row: the same as a product of matrix and vector, which is faster */
		mml_gemv(!transpose_b, transpose_b ? n : k, transpose_b ? k : n, alpha, b, ldb, a, beta, c);
		return;
	}
	cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
				(blasint) m, (blasint) n, (blasint) k, alpha, a, (blasint) lda, b, (blasint) ldb, beta, c, (blasint) ldc);
}

void
mml_gemv(bool transpose, size_t m, size_t n, float alpha, const float *a, size_t lda,
		 const float *x, float beta, float *y)
{
	size_t		out = transpose ? n : m;

	if (out == 0)
		return;
	if (m == 0 || n == 0)
	{
		for (size_t i = 0; i < out; i++)
			y[i] = beta == 0.0f ? 0.0f : beta * y[i];
		return;
	}
	cblas_sgemv(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, (blasint) m, (blasint) n,
				alpha, a, (blasint) lda, x, 1, beta, y, 1);
}

float
mml_dot(size_t n, const float *x, const float *y)
{
	return n == 0 ? 0.0f : cblas_sdot((blasint) n, x, 1, y, 1);
}

MML_VECTORIZED void
mml_axpy(size_t n, float alpha, const float *x, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] += alpha * x[i];
}

MML_VECTORIZED void
mml_column_sums(size_t m, size_t n, const float *a, size_t lda, float *y)
{
	memset(y, 0, n * sizeof(float));
	for (size_t i = 0; i < m; i++)
	{
		const float *row = a + i * lda;

		for (size_t j = 0; j < n; j++)
			y[j] += row[j];
	}
}

/*
 * y += a[0] r0 + ... + a[7] r7, the products of an element always added up in this order.
 * The weights of a layer do not fit the first-level cache: what limits this is the
 * second level (30 bytes a cycle measured, as cblas_sgemv has it too), so wider
 * vectors and fused multiply-adds gain nothing, and reading less gains all.
 */
static MML_ALWAYS_INLINE void
add_eight(size_t n, const float *a, const float *r0, const float *r1, const float *r2, const float *r3,
		  const float *r4, const float *r5, const float *r6, const float *r7, float *restrict y)
{
	float		a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];

	for (size_t j = 0; j < n; j++)
		y[j] += ((a0 * r0[j] + a1 * r1[j]) + (a2 * r2[j] + a3 * r3[j])) +
			((a4 * r4[j] + a5 * r5[j]) + (a6 * r6[j] + a7 * r7[j]));
}

#define SPARSE_PIECE 256		/* numbers of x looked at together; whole eights */

/* The numbers of x: [m] that are not 0, and the rows of w that they meet; filled up to whole eights. */
static inline size_t
find_used(size_t m, size_t n, const float *x, const float *w, float *a, const float **rows)
{
	size_t		used = 0;

	for (size_t i = 0; i < m; i++)
	{
		uint32_t	bits;		/* compared as a whole number: no jump, and short to wait for */

		memcpy(&bits, x + i, sizeof(bits));
		a[used] = x[i];
		rows[used] = w + i * n;
		used += bits << 1 != 0;
	}
	for (; used % 8 != 0; used++)
	{
		a[used] = 0.0f;
		rows[used] = rows[used - 1];
	}
	return used;
}

MML_VECTORIZED void
mml_sparse_product(size_t m, size_t n, const float *x, const float *w, float *y)
{
	const float *rows[SPARSE_PIECE];
	float		a[SPARSE_PIECE];

	memset(y, 0, n * sizeof(float));
	for (size_t at = 0; at < m; at += SPARSE_PIECE)
	{
		size_t		used = find_used(MML_MIN(m - at, SPARSE_PIECE), n, x + at, w + at * n, a, rows);

		for (size_t i = 0; i < used; i += 8)
			add_eight(n, a + i, rows[i], rows[i + 1], rows[i + 2], rows[i + 3],
					  rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7], y);
	}
}

/* y += x w for a chunk of inputs */
static MML_ALWAYS_INLINE void
add_chunk(size_t n, const float *x, const float *w, float *restrict y)
{
	add_eight(n, x, w, w + n, w + 2 * n, w + 3 * n, w + 4 * n, w + 5 * n, w + 6 * n, w + 7 * n, y);
}

static MML_ALWAYS_INLINE void
add_sums(size_t n, const float *sums, float *restrict y)
{
	for (size_t j = 0; j < n; j++)
		y[j] += sums[j];
}

MML_VECTORIZED void
mml_chunked_product(size_t m, size_t n, const float *x, const float *w, const uint8_t *uses, float *sums, float *y)
{
	size_t		n_chunks = m / MML_CHUNK;

	memset(y, 0, n * sizeof(float));
	for (size_t c = 0; c < n_chunks; c++)
	{
		float	   *kept = sums + c * n;

		if (uses[c] == MML_CHUNK_NEW)
		{
			add_chunk(n, x + c * MML_CHUNK, w + c * MML_CHUNK * n, y);
			continue;
		}
		if (uses[c] == MML_CHUNK_KEEP)
		{
			memset(kept, 0, n * sizeof(float));
			add_chunk(n, x + c * MML_CHUNK, w + c * MML_CHUNK * n, kept);
		}
		add_sums(n, kept, y);
	}
	for (size_t i = n_chunks * MML_CHUNK; i < m; i++)
		for (size_t j = 0; j < n; j++)
			y[j] += x[i] * w[i * n + j];
}

typedef float lanes __attribute__((vector_size(MML_LANES * sizeof(float))));

#define ALL(x) ((lanes) {x, x, x, x, x, x, x, x})
#define SMALL_ROWS 4			/* of a at a time: their sums stay in registers */

/* The next `rows` rows of the product and one group of lanes; a constant `rows`, so that the loops unroll. */
#define SMALL_TILE(rows) \
	do { \
		lanes		sums[rows] = {{0}}; \
		for (size_t p = 0; p < k; p++) \
		{ \
			lanes		row; \
			memcpy(&row, b + p * ldb + at, sizeof(row)); \
			for (size_t r = 0; r < (rows); r++) \
				sums[r] += ALL(a[(i + r) * a_row + p * a_col]) * row; \
		} \
		for (size_t r = 0; r < (rows); r++) \
			memcpy(c + (i + r) * ldc + at, &sums[r], sizeof(sums[r])); \
	} while (0)

MML_VECTORIZED void
mml_small_product(size_t m, size_t n, size_t k, const float *restrict a, size_t a_row, size_t a_col,
				  const float *restrict b, size_t ldb, float *restrict c, size_t ldc)
{
	for (size_t at = 0; at < n; at += MML_LANES)
	{
		size_t		i = 0;

		for (; i + SMALL_ROWS <= m; i += SMALL_ROWS)
			SMALL_TILE(SMALL_ROWS);
		for (; i < m; i++)
			SMALL_TILE(1);
	}
}

#define ROUNDING 12582912.0f	/* 1.5 x 2^23: what is added to it is rounded to a whole number */

/*
 * e^x = 2^k e^r, k = round(x / ln 2), |r| <= ln 2 / 2; e^r by its Taylor
 * polynomial of degree 7.  ln 2 in two parts: the first has few bits, so that k
 * times it is exact.
 */
MML_VECTORIZED void
mml_exp(size_t n, float *x)
{
	for (size_t i = 0; i < n; i++)
	{
		float		below = x[i] < 88.0f ? x[i] : 88.0f;
		float		y = below > -87.0f ? below : -87.0f;
		float		k = y * 1.44269504f + ROUNDING - ROUNDING;
		float		r = y - k * 0.693359375f + k * 2.12194440e-4f;
		float		p = 1.0f / 720 + r * (1.0f / 5040);
		int32_t		bits = ((int32_t) k + 127) << 23;
		float		power;

		p = 1.0f / 24 + r * (1.0f / 120 + r * p);
		p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * p)));
		memcpy(&power, &bits, sizeof(power));
		x[i] = below > -87.0f ? p * power : 0.0f;
	}
}

uint64_t
mml_order_of_double(double x)
{
	uint64_t	bits;

	x += 0.0;					/* -0 equals 0 */
	memcpy(&bits, &x, sizeof(bits));
	return bits >> 63 ? ~bits : bits | 0x8000000000000000ULL;
}

/* One pass of the radix sort: stable by the digit at `shift`. */
static mml_status
sort_by_digit(mml_host *host, int shift, const uint64_t *keys, const uint32_t *values,
			  uint64_t *to_keys, uint32_t *to_values, size_t n, size_t *start)
{
	size_t		sum = 0;

	for (size_t d = 0; d < DIGITS; d++)
	{
		size_t		count = start[d];

		start[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
	{
		size_t		to = start[(keys[i] >> shift) & (DIGITS - 1)]++;

		to_keys[to] = keys[i];
		to_values[to] = values[i];
		if (i % SORT_POLL == SORT_POLL - 1)
			MML_TRY(mml_poll(host));
	}
	return MML_OK;
}

/* Few elements: by insertion. */
static void
sort_few(uint64_t *keys, uint32_t *values, size_t n)
{
	for (size_t i = 1; i < n; i++)
	{
		uint64_t	key = keys[i];
		uint32_t	value = values[i];
		size_t		j = i;

		for (; j > 0 && keys[j - 1] > key; j--)
		{
			keys[j] = keys[j - 1];
			values[j] = values[j - 1];
		}
		keys[j] = key;
		values[j] = value;
	}
}

mml_status
mml_sort(mml_host *host, uint64_t *keys, uint32_t *values, uint64_t *spare_keys, uint32_t *spare_values, size_t n)
{
	size_t		start[DIGITS];
	uint64_t   *from_keys = keys;
	uint32_t   *from_values = values;

	if (n <= 32)
	{
		sort_few(keys, values, n);
		return MML_OK;
	}
	for (int shift = 0; shift < 64; shift += DIGIT_BITS)
	{
		bool		is_from_first = from_keys == keys;

		memset(start, 0, sizeof(start));
		for (size_t i = 0; i < n; i++)
			start[(from_keys[i] >> shift) & (DIGITS - 1)]++;
		/* All keys share the digit: nothing to do.  Usual for the high digits. */
		if (start[(from_keys[0] >> shift) & (DIGITS - 1)] == n)
			continue;
		MML_TRY(sort_by_digit(host, shift, from_keys, from_values,
							  is_from_first ? spare_keys : keys, is_from_first ? spare_values : values, n, start));
		from_keys = is_from_first ? spare_keys : keys;
		from_values = is_from_first ? spare_values : values;
	}
	if (from_keys != keys)
	{
		memcpy(keys, from_keys, n * sizeof(*keys));
		memcpy(values, from_values, n * sizeof(*values));
	}
	return MML_OK;
}
