# Net::SMTP as a peer: reads its order as JSON, sends, and prints the recipients refused.
use strict;
use warnings;
use Authen::SASL;
use JSON::PP;
use MIME::Base64;
use Net::SMTP;

my $order = decode_json(do { local $/; <STDIN> });
my @tls = (SSL_ca_file => $order->{ca}, SSL_verifycn_name => 'localhost');
my $client = Net::SMTP->new(
    $order->{host},
    Port    => $order->{port},
    Hello   => 'client.test',
    Timeout => 10,
    Debug   => 1,
    ($order->{tls} eq 'implicit' ? (SSL => 1, @tls) : ()),
) or die "no connection: $@";
if ($order->{tls} eq 'starttls') { $client->starttls(@tls) or die "no TLS: $@"; }
if ($order->{auth}) {
    my $sasl = Authen::SASL->new(
        mechanism => $order->{auth},
        callback  => {
            user => $order->{user}, authname => $order->{user}, pass => $order->{password},
        },
    );
    $client->auth($sasl) or die "AUTH refused";
}
my $dsn = $client->supports('DSN');
$client->mail($order->{sender}, ($dsn ? (Return => 'HDRS', Envelope => 'id+1') : ()), Bits => 8)
    or die "MAIL refused";
my %refused;
for my $recipient (@{ $order->{recipients} }) {
    $client->recipient($recipient, ($dsn ? { Notify => [ 'FAILURE', 'DELAY' ] } : ()))
        or $refused{$recipient} = 0 + $client->code;
}
$client->data() or die "DATA refused";
$client->datasend($_) for split /(?<=\n)/, decode_base64($order->{message}) =~ s/\r\n/\n/gr;
$client->dataend() or die "message refused";
$client->verify($order->{recipients}[0]);
$client->help();
$client->reset();
$client->quit();
print encode_json(\%refused), "\n";

