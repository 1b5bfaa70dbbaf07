/*
 * naive_backbones.c - the interactions of the nine backbones, by the formulas of
 * MODELS.md section 2: for one row, with a loop for every index.
 */
#include <string.h>

#include "naive.h"

/* v_f: [d] */
static const number *
v(const naive *net, const number *x, int f)
{
	return x + f * net->spec->dim;
}

static int
n_pairs(const naive *net)
{
	return net->n_fields * (net->n_fields - 1) / 2;
}

/* ------------------------------------------------------------ deepfm and nfm */

/* bi: [d] = 1/2 [(sum_f v_f)^2 - sum_f v_f^2] */
static void
bi_interact(naive *net, const number *x, number *bi)
{
	for (int k = 0; k < net->spec->dim; k++)
	{
		number		sum = 0.0;
		number		squares = 0.0;

		for (int f = 0; f < net->n_fields; f++)
		{
			sum += v(net, x, f)[k];
			squares += v(net, x, f)[k] * v(net, x, f)[k];
		}
		bi[k] = 0.5 * (sum * sum - squares);
	}
}

static number
bi_sum(naive *net, const number *x)
{
	number		bi[NAIVE_MAX_WIDTH];
	number		sum = 0.0;

	bi_interact(net, x, bi);
	for (int k = 0; k < net->spec->dim; k++)
		sum += bi[k];
	return sum;
}

static int
nfm_width(const naive *net)
{
	return net->spec->dim;
}

/* -------------------------------------------------------------------- pnn */

static int
pnn_width(const naive *net)
{
	return net->n_fields * net->spec->dim + n_pairs(net);
}

/* h: [F d + n_p] = [x ; v_i . v_j] */
static void
pnn_enter(naive *net, const number *x, number *h)
{
	int			at = net->n_fields * net->spec->dim;

	memcpy(h, x, (size_t) at * sizeof(number));
	for (int i = 0; i < net->n_fields; i++)
		for (int j = i + 1; j < net->n_fields; j++)
			h[at++] = naive_dot(v(net, x, i), v(net, x, j), net->spec->dim);
}

/* -------------------------------------------------------------------- dcn */

static int
cross_width(const naive *net)
{
	return net->n_fields * net->spec->dim;
}

static void
cross_create(naive *net)
{
	for (int l = 0; l < net->spec->cross_layers; l++)
	{
		net->cross_weight[l] = naive_add(net, cross_width(net), 1, "cross.%d.weight", l);
		net->cross_bias[l] = naive_add(net, 1, cross_width(net), "cross.%d.bias", l);
	}
}

/* out: [F d] = x_C; x_{l+1} = x_0 (x_l . weight) + bias + x_l */
static void
cross(naive *net, const number *x, number *out)
{
	int			n = cross_width(net);

	memcpy(out, x, (size_t) n * sizeof(number));
	for (int l = 0; l < net->spec->cross_layers; l++)
	{
		number		product = naive_dot(out, net->cross_weight[l]->x, n);

		for (int i = 0; i < n; i++)
			out[i] = x[i] * product + net->cross_bias[l]->x[i] + out[i];
	}
}

/* ---------------------------------------------------------------- autoint */

/* Of a field after attention: heads x w. */
static int
attended(const naive *net)
{
	return net->spec->attention_heads * net->spec->attention_dim;
}

static int
attention_width(const naive *net)
{
	return net->n_fields * attended(net);
}

static void
attention_create(naive *net)
{
	for (int l = 0; l < net->spec->attention_layers; l++)
	{
		int			in = l == 0 ? net->spec->dim : attended(net);

		net->query[l] = naive_add(net, in, attended(net), "attention.%d.query", l);
		net->key[l] = naive_add(net, in, attended(net), "attention.%d.key", l);
		net->value[l] = naive_add(net, in, attended(net), "attention.%d.value", l);
		net->residual[l] = naive_add(net, in, attended(net), "attention.%d.residual", l);
	}
}

/* out: [F, heads x w]; within[j] = softmax_j(q_i . k_j) of head t */
static void
attend(naive *net, int l, const number *in, number *out)
{
	int			n_in = net->query[l]->rows;
	int			n_out = net->query[l]->cols;
	int			w = net->spec->attention_dim;
	number		query[NAIVE_MAX_WIDTH];
	number		key[NAIVE_MAX_WIDTH];
	number		value[NAIVE_MAX_WIDTH];

	for (int f = 0; f < net->n_fields; f++)
	{
		naive_multiply(in + f * n_in, net->query[l], 0, n_in, query + f * n_out);
		naive_multiply(in + f * n_in, net->key[l], 0, n_in, key + f * n_out);
		naive_multiply(in + f * n_in, net->value[l], 0, n_in, value + f * n_out);
		naive_multiply(in + f * n_in, net->residual[l], 0, n_in, out + f * n_out);
	}
	for (int i = 0; i < net->n_fields; i++)
		for (int t = 0; t < net->spec->attention_heads; t++)
		{
			number		within[NAIVE_MAX_FIELDS + 1];
			number		sum = 0.0;

			for (int j = 0; j < net->n_fields; j++)
			{
				within[j] = cexp(naive_dot(query + i * n_out + t * w, key + j * n_out + t * w, w));
				sum += within[j];
			}
			for (int j = 0; j < net->n_fields; j++)
				for (int c = t * w; c < t * w + w; c++)
					out[i * n_out + c] += within[j] / sum * value[j * n_out + c];
		}
	for (int i = 0; i < net->n_fields * n_out; i++)
		out[i] = naive_relu(net, out[i]);
}

/* out: [F, heads x w] = V_A */
static void
attend_all(naive *net, const number *x, number *out)
{
	number		in[NAIVE_MAX_WIDTH];

	attend(net, 0, x, out);
	for (int l = 1; l < net->spec->attention_layers; l++)
	{
		memcpy(in, out, (size_t) attention_width(net) * sizeof(number));
		attend(net, l, in, out);
	}
}

/* ---------------------------------------------------------------- xdeepfm */

/* The first of a layer's maps that goes out; those before it are kept for the next layer. */
static int
first_out(const naive *net, int l)
{
	return l == net->spec->n_cin - 1 ? 0 : net->spec->cin[l] / 2;
}

static void
cin_create(naive *net)
{
	int			kept = net->n_fields;
	int			n_out = 0;

	for (int l = 0; l < net->spec->n_cin; l++)
	{
		int			size = net->spec->cin[l];

		net->filter[l] = naive_add(net, net->n_fields * kept, size, "cin.%d.filter", l);
		net->filter_bias[l] = naive_add(net, 1, size, "cin.%d.bias", l);
		kept = first_out(net, l);
		n_out += size - kept;
	}
	net->cin_head = naive_add(net, n_out, 1, "cin.head.weight");
	net->cin_head_bias = naive_add(net, 1, 1, "cin.head.bias");
}

/* maps: [H_l] of one column, from first: [F] and kept: [n_kept] */
static void
cin_layer(naive *net, int l, const number *first, const number *kept, int n_kept, number *maps)
{
	for (int m = 0; m < net->spec->cin[l]; m++)
	{
		number		c = net->filter_bias[l]->x[m];

		for (int i = 0; i < net->n_fields; i++)
			for (int j = 0; j < n_kept; j++)
				c += first[i] * kept[j] * net->filter[l]->x[(i * n_kept + j) * net->spec->cin[l] + m];
		maps[m] = naive_relu(net, c);
	}
}

/* q . cin.head.weight + cin.head.bias: what goes out, column by column */
static number
cin(naive *net, const number *x)
{
	number		sum = net->cin_head_bias->x[0];

	for (int k = 0; k < net->spec->dim; k++)
	{
		number		first[NAIVE_MAX_FIELDS + 1];
		number		kept[NAIVE_MAX_WIDTH];
		int			n_kept = net->n_fields;
		int			at = 0;

		for (int f = 0; f < net->n_fields; f++)
			kept[f] = first[f] = v(net, x, f)[k];
		for (int l = 0; l < net->spec->n_cin; l++)
		{
			number		maps[NAIVE_MAX_WIDTH];

			cin_layer(net, l, first, kept, n_kept, maps);
			n_kept = first_out(net, l);
			memcpy(kept, maps, (size_t) n_kept * sizeof(number));
			for (int m = n_kept; m < net->spec->cin[l]; m++)
				sum += maps[m] * net->cin_head->x[at++];
		}
	}
	return sum;
}

/* ---------------------------------------------------------------- fibinet */

static int
bilinear_width(const naive *net)
{
	return n_pairs(net) * 2 * net->spec->dim;
}

static void
bilinear_create(naive *net)
{
	int			m = net->n_fields / 3 > 1 ? net->n_fields / 3 : 1;
	int			d = net->spec->dim;

	net->squeeze = naive_add(net, net->n_fields, m, "senet.squeeze");
	net->excite = naive_add(net, m, net->n_fields, "senet.excite");
	net->bilinear_senet = naive_add(net, n_pairs(net) * d, d, "bilinear.senet");
	net->bilinear_raw = naive_add(net, n_pairs(net) * d, d, "bilinear.raw");
}

/* a: [F] = relu(relu(mean . squeeze) . excite) */
static void
senet(naive *net, const number *x, number *a)
{
	number		mean[NAIVE_MAX_FIELDS + 1];
	number		squeezed[NAIVE_MAX_FIELDS + 1];

	for (int f = 0; f < net->n_fields; f++)
	{
		mean[f] = 0.0;
		for (int k = 0; k < net->spec->dim; k++)
			mean[f] += v(net, x, f)[k] / net->spec->dim;
	}
	naive_multiply(mean, net->squeeze, 0, net->n_fields, squeezed);
	for (int i = 0; i < net->squeeze->cols; i++)
		squeezed[i] = naive_relu(net, squeezed[i]);
	naive_multiply(squeezed, net->excite, 0, net->excite->rows, a);
	for (int f = 0; f < net->n_fields; f++)
		a[f] = naive_relu(net, a[f]);
}

/* h: [n_p, 2 d] = [ ((a_i v_i) senet_p) o (a_j v_j) ; (v_i raw_p) o v_j ] */
static void
bilinear_enter(naive *net, const number *x, number *h)
{
	int			d = net->spec->dim;
	int			p = 0;
	number		a[NAIVE_MAX_FIELDS + 1];

	senet(net, x, a);
	for (int i = 0; i < net->n_fields; i++)
		for (int j = i + 1; j < net->n_fields; j++, p++)
		{
			number	   *weighed = h + p * 2 * d;
			number	   *raw = weighed + d;

			naive_multiply(v(net, x, i), net->bilinear_senet, p * d, d, weighed);
			naive_multiply(v(net, x, i), net->bilinear_raw, p * d, d, raw);
			for (int k = 0; k < d; k++)
			{
				weighed[k] *= a[i] * a[j] * v(net, x, j)[k];
				raw[k] *= v(net, x, j)[k];
			}
		}
}

/* -------------------------------------------------------------------- table */

static const naive_backbone backbones[] = {
	{.name = "mlp"},
	{.name = "wdl",.has_linear = true},
	{.name = "deepfm",.has_linear = true,.add = bi_sum},
	{.name = "nfm",.has_linear = true,.tower_width = nfm_width,.enter = bi_interact},
	{.name = "pnn",.tower_width = pnn_width,.enter = pnn_enter},
	{.name = "dcn",.has_linear = true,.side_width = cross_width,.create = cross_create,.side = cross},
	{.name = "autoint",.has_linear = true,.side_width = attention_width,.create = attention_create,.side = attend_all},
	{.name = "xdeepfm",.has_linear = true,.create = cin_create,.add = cin},
	{.name = "fibinet",.has_linear = true,.tower_width = bilinear_width,.create = bilinear_create,.enter = bilinear_enter},
};

const naive_backbone *
naive_backbone_named(const char *name)
{
	for (size_t i = 0; i < sizeof(backbones) / sizeof(backbones[0]); i++)
		if (strcmp(backbones[i].name, name) == 0)
			return &backbones[i];
	return NULL;
}
