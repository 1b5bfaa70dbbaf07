# moemlora_report(): the page is well formed, and a browser shows it as it should
# be: at two widths, in light and in dark, with every text of a picture inside it,
# readable, and nothing wider than the screen.  Where there is no Chromium that
# part is skipped.
#
# Screenshots are left beside the logs.

use strict;
use warnings;

use Cwd;
use File::Path;
use FindBin;
use IPC::Run;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('report');
my $directory = $ENV{TESTLOGDIR} // $PostgreSQL::Test::Utils::log_path // '.';

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT *, CASE id % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'valid' ELSE 'train' END AS split FROM clicks(6000, 5, 0.5, 5);
	CREATE TABLE many AS
	SELECT user_id, item_id, price, clicked, split, CASE i % 3 WHEN 0 THEN '' ELSE repeat('long <b>names</b> & "signs" ', 4) END || 'WWWWWWWWWW '
		|| place || ' ' || i AS place FROM shown, generate_series(1, 8) AS i;
});

sub train
{
	my ($model, $source, $options) = @_;

	return sql(
		$node, qq{
		SELECT count(*) FROM moemlora_train('$model', '$source', 'clicked', 'place', ARRAY['user_id', 'item_id', 'price'],
			'{"epochs": 4, "hidden": [8], "embedding_dim": 4, "learning_rate": 0.02, "split_column": "split"}'::jsonb || '$options')
	});
}

train('usual', 'shown', '{"recipe": "gated"}');
train('many', 'many', '{"recipe": "paper", "serve": "gate", "finetune": true, "min_domain_rows": 10, "experts_per_domain": 2}');
train('plain', 'shown', '{"method": "backbone"}');

my %page = map { $_ => sql($node, "SELECT moemlora_report('$_')") } qw(usual many plain);

# What does not match, or nothing.
sub first_flaw
{
	my ($page) = @_;
	my @open;
	my %ids;

	while ($page =~ m{<(/?)([a-z0-9!]+)([^<>]*)>}gi)
	{
		my ($closes, $name, $rest) = ($1, lc $2, $3);

		return "id $1 twice" if $rest =~ /\bid="([^"]*)"/ && $ids{$1}++;
		next if $name eq '!doctype' || $name eq 'meta' || $rest =~ m{/$};
		if (!$closes)
		{
			push @open, $name;
		}
		elsif ((my $last = pop @open // 'nothing') ne $name)
		{
			return "</$name> ends <$last>";
		}
	}
	return "<$open[-1]> has no end" if @open;
	foreach my $list ($page =~ /aria-labelledby="([^"]*)"/g)
	{
		foreach my $id (split / /, $list)
		{
			return "no id $id" unless $ids{$id};
		}
	}
	foreach my $id ($page =~ /href="#([^"]*)"/g)
	{
		return "no id $id to go to" unless $ids{$id};
	}
	return '';
}

foreach my $model (sort keys %page)
{
	is(first_flaw($page{$model}), '', "$model: the page is well formed");
	is(scalar(() = $page{$model} =~ /<tr>(?!<th)/g), 0, "$model: every row of a table has its head");
	unlike($page{$model}, qr/\b(nan|inf)\b/i, "$model: no number is NaN or infinite");
	note("$model: " . length($page{$model}) . ' bytes');
}

# Tells of the page in its frame what a reader would stumble over, one line each.
my $probe = <<'END';
<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<style>body { margin: 0 } iframe { border: 0; width: 100%; height: 6000px }</style>
<iframe id="frame" src="PAGE"></iframe><pre id="found"></pre>
<script>
const frame = document.getElementById('frame'), found = [];
function channel(c) { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }
function rgb(color) { return color.match(/[\d.]+/g).map(Number); }
function luminance(c) { return 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]); }
function contrast(a, b) {
	const [x, y] = [luminance(rgb(a)), luminance(rgb(b))];
	return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}
frame.onload = () => {
	const page = frame.contentDocument, view = frame.contentWindow;
	const style = (element) => view.getComputedStyle(element);
	function background(element) {
		for (let e = element; e; e = e.parentElement)
			if (rgb(style(e).backgroundColor)[3] !== 0) return style(e).backgroundColor;
		return 'rgb(255, 255, 255)';
	}
	function faint(element, color, least) {
		if (contrast(color, background(element)) < least)
			found.push('faint: ' + contrast(color, background(element)).toFixed(2) + ' ' + element.outerHTML.slice(0, 90));
	}
	page.querySelectorAll('details').forEach((e) => { e.open = true; });
	if (page.documentElement.scrollWidth > view.innerWidth)
		found.push('wider than the screen: ' + page.documentElement.scrollWidth);
	page.querySelectorAll('figure > svg').forEach((svg) => {
		const box = svg.getBoundingClientRect();
		svg.querySelectorAll('text').forEach((text) => {
			const t = text.getBoundingClientRect();
			if (t.left < box.left - 0.5 || t.right > box.right + 0.5 || t.top < box.top - 0.5 || t.bottom > box.bottom + 0.5)
				found.push('outside its picture: ' + text.textContent + ' of ' + svg.querySelector('title').textContent);
			faint(svg, style(text).fill, 4.5);
			if (parseFloat(style(text).fontSize) * box.width / svg.viewBox.baseVal.width < 9)
				found.push('too small: ' + text.textContent);
		});
		svg.querySelectorAll('.line, .bar, .mark').forEach((shape) => {
			faint(svg, shape.matches('.bar') ? style(shape).fill : style(shape).stroke, 3);
		});
		svg.querySelectorAll('.cell').forEach((cell) => {
			const under = rgb(background(svg)), over = rgb(style(cell).fill), part = Number(style(cell).fillOpacity);
			const mixed = 'rgb(' + [0, 1, 2].map((i) => under[i] + part * (over[i] - under[i])).join(',') + ')';
			const text = svg.querySelector('text.v');
			if (text && contrast(style(text).fill, mixed) < 4.5) found.push('faint number in a cell: ' + cell.textContent);
		});
	});
	page.querySelectorAll('p, a, li, td, th, dt, dd, summary, caption, pre, h1, h2, h3, footer, figure li').forEach((e) => {
		faint(e, style(e).color, 4.5);
	});
	page.querySelectorAll('figure').forEach((e) => {
		if (!e.querySelector('svg')) found.push('a figure without a picture');
	});
	document.getElementById('found').textContent = 'probed ' + page.querySelectorAll('figure > svg').length + ' pictures in '
		+ (view.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light') + ' ' + view.innerWidth + ' wide\n'
		+ Array.from(new Set(found)).join('\n') + '\nend';
};
</script>
END

sub find_chromium
{
	foreach my $name (qw(chromium chromium-browser google-chrome))
	{
		foreach my $path (split /:/, $ENV{PATH})
		{
			return "$path/$name" if -x "$path/$name";
		}
	}
	return;
}

sub spill
{
	my ($file, $text) = @_;

	open my $out, '>', $file or die "$file: $!";
	print $out $text;
	close $out;
	return;
}

# Output of the browser, and whether it came through.
sub browse
{
	my ($browser, $width, $scheme, @arguments) = @_;
	my $out = '';
	my $done = IPC::Run::run(
		[
			$browser, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
			'--allow-file-access-from-files', "--user-data-dir=$directory/browser",
			'--blink-settings=preferredColorScheme=' . ($scheme eq 'dark' ? 0 : 1), "--window-size=$width,6000",
			@arguments ],
		'<', \undef, '>', \$out, '2>', "$directory/browser.log", IPC::Run::timeout(120));

	return $done ? $out : '';
}

SKIP:
{
	my $browser = find_chromium();

	skip 'no Chromium here: install package chromium to see the page in a browser', 1 unless $browser;
	$directory = Cwd::abs_path($directory);
	foreach my $model (sort keys %page)
	{
		spill("$directory/report_$model.html", $page{$model});
		spill("$directory/report_${model}_probe.html", $probe =~ s/PAGE/report_$model.html/r);
	}
	foreach my $case (
		[ 'usual', 1200, 'light' ], [ 'usual', 1200, 'dark' ], [ 'usual', 390, 'light' ], [ 'usual', 390, 'dark' ],
		[ 'many', 1200, 'dark' ], [ 'many', 390, 'light' ], [ 'plain', 500, 'light' ])
	{
		my ($model, $width, $scheme) = @$case;
		my $file = "$directory/report_$model";
		my $name = "$model, $width wide, $scheme";
		my $dump = browse($browser, $width, $scheme, '--virtual-time-budget=20000', '--dump-dom', "file://${file}_probe.html");
		my ($seen, $found) = $dump =~ m{<pre id="found">probed (\d+ pictures in \w+ \d+ wide)\n(.*?)\n?end</pre>}s;

		like($seen // 'nothing', qr/^[1-9]\d* pictures in $scheme /, "$name: the browser shows it");
		is($found, '', "$name: nothing to stumble over");
		next if $model ne 'usual';
		browse($browser, $width, $scheme, "--screenshot=$file-$width-$scheme.png", "file://$file.html");
		cmp_ok(-s "$file-$width-$scheme.png" // 0, '>', 30_000, "$name: a screenshot");
	}
	File::Path::rmtree("$directory/browser");
}

finish($node);
