/*
 * mml_math.h - the core's ground floor: errors, memory, random numbers,
 * hashing, dense algebra.  Private to trainer/ and its unit tests.
 */
#ifndef MML_MATH_H
#define MML_MATH_H

#include "mml.h"

/*
 * Loops over floats that the compiler vectorises; where the platform can, a
 * second copy for AVX2 is chosen at load.  No fused multiply-add in either
 * (-ffp-contract=off): both give the same bits.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) && defined(__GNUC__) && !defined(__clang__)
#define MML_VECTORIZED __attribute__((target_clones("avx2", "default")))
#else
#define MML_VECTORIZED
#endif

#if defined(__GNUC__)
#define MML_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define MML_LIKELY(x) __builtin_expect(!!(x), 1)
#define MML_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MML_ALWAYS_INLINE inline __attribute__((always_inline))
#define MML_PREFETCH(address) __builtin_prefetch(address)
#else
#define MML_PRINTF(text, first)
#define MML_LIKELY(x) (x)
#define MML_UNLIKELY(x) (x)
#define MML_ALWAYS_INLINE inline
#define MML_PREFETCH(address) ((void) (address))
#endif

#define MML_LINE_FLOATS 16		/* floats in a line of the processor's cache */

#define MML_MIN(a, b) ((a) < (b) ? (a) : (b))
#define MML_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Leaves the calling function with the status of `call` unless it is MML_OK. */
#define MML_TRY(call) \
	do { \
		mml_status	try_status_ = (call); \
		if (MML_UNLIKELY(try_status_ != MML_OK)) \
			return try_status_; \
	} while (0)

/*
 * Asks the memory for n floats that are going to be read.  A function that only
 * prefetches has no effect that gcc knows of, and it drops the calls: so this
 * one, and those that do nothing but call it, are inlined always.
 */
static MML_ALWAYS_INLINE void
mml_prefetch(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i += MML_LINE_FLOATS)
		MML_PREFETCH(x + i);
}

/* ---- status.c: the error text in the host ---- */

/* Sets the message, clears detail and hint, returns `status`. */
extern mml_status mml_fail(mml_host *host, mml_status status, const char *format, ...) MML_PRINTF(3, 4);

/* Add to the error that mml_fail() just set. */
extern void mml_fail_detail(mml_host *host, const char *format, ...) MML_PRINTF(2, 3);
extern void mml_fail_hint(mml_host *host, const char *format, ...) MML_PRINTF(2, 3);

/* Text into a buffer of `size` bytes, cut where it does not fit. */
extern void mml_format(char *buffer, size_t size, const char *format, ...) MML_PRINTF(3, 4);

/* MML_CANCELLED when the host wants to stop. */
extern mml_status mml_poll(mml_host *host);

/* Copies text, cut to `size` bytes with the final zero, never in the middle of a UTF-8 character. */
extern void mml_copy_text(char *to, size_t size, const char *from, size_t length);

/* ---- arena.c: memory ---- */

/*
 * Zeroed memory through the host; fails with MML_LIMIT above host->memory_limit
 * and MML_OUT_OF_MEMORY when the host has none.  Its size is kept in front of
 * it.  Aligned to 64 bytes.  n * size must not overflow: checked.
 */
extern mml_status mml_alloc(mml_host *host, void **memory, size_t n, size_t size);
extern void mml_release(mml_host *host, void *memory);	/* NULL is fine */

/* The same from the host's shared memory; MML_OUT_OF_MEMORY where there is none. */
extern mml_status mml_alloc_shared(mml_host *host, void **memory, size_t bytes);

/* As mml_alloc() into a pointer of any type. */
#define MML_NEW(host, pointer, n) mml_alloc((host), (void **) &(pointer), (n), sizeof(*(pointer)))

/* Makes *memory hold n elements, keeping the first `used`; *held is its size in elements, grown by half at least. */
extern mml_status mml_grow(mml_host *host, void **memory, size_t *held, size_t used, size_t n, size_t size);

/*
 * An arena: memory that all participants of a training share.  Blocks may lie
 * at other addresses in other processes, so what is stored in an arena refers
 * to other parts by (block, offset), and each participant keeps its own table
 * of where the blocks are.
 */
#define MML_ARENA_BLOCKS 1024
#define MML_ARENA_FIRST_BLOCK ((size_t) 64 << 10)
#define MML_ARENA_LARGEST_BLOCK ((size_t) 256 << 20)	/* unless one piece is larger */

typedef struct mml_ref
{
	uint32_t	block;			/* from 1; 0 = no memory */
	uint32_t	unused;
	uint64_t	offset;
} mml_ref;

typedef struct mml_arena
{
	mml_host   *host;
	bool		is_shared;		/* all blocks are seen by other processes */
	uint32_t	n_blocks;
	size_t		next_size;		/* of the next block, unless a piece is larger */
	size_t		expected;		/* of the next block, however little is left; 0 = not known */
	size_t		last_size;		/* of the last block, and what is used of it */
	size_t		last_used;
	size_t		bytes;			/* of all blocks */
	char	   *block[MML_ARENA_BLOCKS];	/* where this participant sees it */
} mml_arena;

extern void mml_arena_init(mml_arena *arena, mml_host *host);
extern void mml_arena_free(mml_arena *arena);

/* What is taken after the mark can be given back, with all blocks after those that there were. */
extern uint32_t mml_arena_mark(mml_arena *arena);
extern void mml_arena_rewind(mml_arena *arena, uint32_t n_blocks);

/*
 * Moves all blocks to shared memory and takes the next ones from there.  Where
 * there is not enough of it, now or later, is_shared is false and all is as
 * good as before for this process.
 */
extern mml_status mml_arena_share(mml_arena *arena);

/*
 * What is going to be taken from now on, each piece rounded up to 64 bytes: one
 * block of that size instead of a series, so that nothing more is taken.
 */
extern void mml_arena_expect(mml_arena *arena, size_t bytes);

/* Zeroed, aligned to 64 bytes. */
extern mml_status mml_arena_alloc(mml_arena *arena, size_t n, size_t size, mml_ref *ref);

/* NULL for a ref to no memory. */
extern void *mml_arena_at(const mml_arena *arena, mml_ref ref);
extern size_t mml_arena_bytes(const mml_arena *arena);

/* ---- rng.c: hashing and counter-based random numbers ---- */

/* A bijective mixer of 64 bits: equal in, equal out, everything else looks random. */
extern uint64_t mml_mix(uint64_t x);

/* Order matters: combine(a, b) != combine(b, a). */
extern uint64_t mml_combine(uint64_t a, uint64_t b);

/* Hash of bytes, the same on every machine. */
extern uint64_t mml_hash_bytes(const void *bytes, size_t n, uint64_t seed);

/* The hash of a categorical value: of a whole number, and of text (the text of a whole number hashes as the number). */
extern uint64_t mml_hash_integer(int64_t value);
extern uint64_t mml_hash_text(const char *text, size_t length);

/* The n-th number of stream `key`: uniform in [0, 1), and standard normal. */
extern double mml_uniform(uint64_t key, uint64_t n);
extern double mml_normal(uint64_t key, uint64_t n);

/* A whole number in [0, bound), bound > 0. */
extern uint64_t mml_below(uint64_t key, uint64_t n, uint64_t bound);

/* Shuffles values: [n] by stream `key`; or the part of it that settles places [from, to), the last places first. */
extern void mml_shuffle(uint64_t key, uint32_t *values, size_t n);
extern void mml_shuffle_places(uint64_t key, uint32_t *values, size_t from, size_t to);

/* Two words from which all dropout numbers of one row of one layer follow. */
typedef struct mml_drop_key
{
	uint32_t	a;
	uint32_t	b;
} mml_drop_key;

extern mml_drop_key mml_drop_key_of(uint64_t stream, uint64_t row);

/*
 * Dropout of one row, in place: x[j] = kept ? x[j] * scale : 0, where unit j is
 * kept when its 16 bits are >= threshold (= share dropped * 65536).
 */
extern void mml_dropout(float *x, size_t n, mml_drop_key key, uint32_t threshold, float scale);

/* ---- linalg.c: the only file that knows CBLAS.  Row-major; ld = leading dimension. ---- */

extern void mml_linalg_init(void);

/* c [m,n] = alpha * op(a) [m,k] * op(b) [k,n] + beta * c; op transposes when its flag says so */
extern void mml_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
					 const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* y = alpha * op(a) x + beta * y, a: [m,n]; x: [n], y: [m] (transposed: x: [m], y: [n]) */
extern void mml_gemv(bool transpose, size_t m, size_t n, float alpha, const float *a, size_t lda,
					 const float *x, float beta, float *y);

/* Sum of x[i] * y[i] in a fixed order. */
extern float mml_dot(size_t n, const float *x, const float *y);

/* y += alpha * x */
extern void mml_axpy(size_t n, float alpha, const float *x, float *y);

/* y: [n] = sums of the columns of a: [m,n], row by row; add = to what is there */
extern void mml_column_sums(size_t m, size_t n, const float *a, size_t lda, float *y);

/* x[i] = e^x[i] within 2e-7 of it; 0 from -87 down, no larger than e^88 */
extern void mml_exp(size_t n, float *x);

/* Numbers that the columns of a small product are padded to. */
#define MML_LANES 8
#define MML_PADDED(n) (((size_t) (n) + MML_LANES - 1) / MML_LANES * MML_LANES)

/*
 * c [m, n] = a [m, k] b [k, n] for matrices so small that a call of BLAS costs
 * more than the product: n a multiple of MML_LANES; element (i, j) of a is
 * a[i * a_row + j * a_col], so a may be transposed.
 */
extern void mml_small_product(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
							  const float *b, size_t ldb, float *c, size_t ldc);

/* y: [n] = x w, x: [m], w: [m, n] dense, without reading the rows of w that meet a 0 of x */
extern void mml_sparse_product(size_t m, size_t n, const float *x, const float *w, float *y);

/*
 * The same as the sum of the products of chunks of x, in their order.  uses:
 * [m / MML_CHUNK] says of each whole chunk whether its product is made anew, made
 * and kept in sums: [m / MML_CHUNK, n], or found there: y has the same bits in all
 * three cases.
 */
#define MML_CHUNK 8				/* inputs */
#define MML_CHUNK_NEW 0
#define MML_CHUNK_KEEP 1
#define MML_CHUNK_KEPT 2

extern void mml_chunked_product(size_t m, size_t n, const float *x, const float *w, const uint8_t *uses,
								float *sums, float *y);

/* Sorts keys: [n] ascending (stable), carrying values: [n].  spare_...: [n] each.  Polls. */
extern mml_status mml_sort(mml_host *host, uint64_t *keys, uint32_t *values,
						   uint64_t *spare_keys, uint32_t *spare_values, size_t n);

/* A double or float as an integer of the same order (no NaN). */
extern uint64_t mml_order_of_double(double x);

/* ---- metric.c ---- */

/* As mml_auc() for logits: [n]; order: spare uint32 [n]; keys, spare keys: uint64 [n] each. */
typedef struct mml_metric_space
{
	uint64_t   *keys;
	uint64_t   *spare_keys;
	uint32_t   *order;
	uint32_t   *spare_order;
} mml_metric_space;

extern mml_status mml_metric_space_create(mml_host *host, size_t n, mml_metric_space *space);
extern void mml_metric_space_free(mml_host *host, mml_metric_space *space);
extern mml_status mml_auc_of_logits(mml_host *host, const mml_metric_space *space,
									const float *logits, const float *labels, size_t n, double *auc);

/* max(z,0) - z y + ln(1 + exp(-|z|)): cross-entropy of logit z and label y. */
extern double mml_bce(double logit, double label);
extern double mml_sigmoid(double logit);

#endif							/* MML_MATH_H */
