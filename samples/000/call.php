<?php
// System 000: asks for a call between two people, takes its result and looks the call up.
//
//     MERCHANT_USERNAME=shop MERCHANT_KEY=... MERCHANT_A=80000 MERCHANT_B=13800138000 \
//     MERCHANT_RETURNURL=http://this-machine.example:8000/result php call.php
//
// PHP 7.4 or later with curl. Exit status 0: the result came and was signed by us.
// On the command line it asks, and has PHP's own web server run this file to take the result.
// Under a web server it takes results: point MERCHANT_RETURNURL at it and set the key there.

define('TANDEM', getenv('MERCHANT_URL') ?: 'http://127.0.0.1:8080');
define('USERNAME', getenv('MERCHANT_USERNAME') ?: 'your-username');
define('KEY', getenv('MERCHANT_KEY') ?: 'your-key');
// Who is rung first, and who then.
define('A', getenv('MERCHANT_A') ?: '80000');
define('B', getenv('MERCHANT_B') ?: '13800138000');
// Where this program listens, and the same place as the switch reaches it.
define('LISTEN', getenv('MERCHANT_LISTEN') ?: '0.0.0.0:8000');
define('RETURNURL', getenv('MERCHANT_RETURNURL') ?: 'http://your-server.example:8000/result');
const PATIENCE_S = 600;

const RESULT_FIELDS = ['callbackid', 'callback_num', 'callback_duration', 'callback_fee', 'destination_num',
    'destination_duration', 'destination_fee', 'callback_result'];

/** MD5 of name=value&...&key=KEY: the plain values, never the escaped ones, in the documented order. */
function sign(array $pairs): string
{
    $base = '';
    foreach ($pairs as $name => $value) {
        $base .= "$name=$value&";
    }
    return md5($base . 'key=' . KEY);
}

/** Ends the program with the reason. */
function stop(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

/** One request; the answer's fields. */
function ask(string $what, array $signed, array $unsigned = []): array
{
    $fields = $signed + $unsigned + ['sign' => sign($signed)];
    $curl = curl_init(TANDEM . "/api/$what?" . http_build_query($fields));
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 15]);
    $text = curl_exec($curl);
    if ($text === false) {
        stop('not reached: ' . curl_error($curl));
    }
    parse_str($text, $answer);
    if (($answer['result'] ?? '') !== 'success') {
        stop("refused: $text");
    }
    return $answer;
}

/** All fields are there and the signature is made with our key. */
function is_ours(array $result): bool
{
    $pairs = [];
    foreach (RESULT_FIELDS as $name) {
        if (!is_string($result[$name] ?? null) || $result[$name] === '') {
            return false;
        }
        $pairs[$name] = $result[$name];
    }
    $given = $result['sign'] ?? '';
    return is_string($given) && hash_equals(sign($pairs), strtolower($given));
}

/** Where a result is kept until somebody asks for it: a database, in a shop of your own. */
function kept(string $callbackid): string
{
    return sys_get_temp_dir() . '/tandem-000-' . md5($callbackid) . '.json';
}

/** Where the result of a call arrives. Only the word `success` tells the switch that it was taken. */
function receive(): void
{
    header('Content-Type: text/plain');
    if (!is_ours($_GET)) {
        file_put_contents('php://stderr', "ignored: a result that is not signed with our key\n");
        echo 'wrong signature';
        return;
    }
    // Written whole, then named: nobody reads half of it.
    $file = kept($_GET['callbackid']);
    file_put_contents("$file.new", json_encode($_GET), LOCK_EX);
    rename("$file.new", $file);
    echo 'success';
}

function main(): void
{
    $nobody = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], STDERR];
    $server = proc_open([PHP_BINARY, '-q', '-S', LISTEN, __FILE__], $nobody, $pipes);
    register_shutdown_function(function () use ($server) {
        proc_terminate($server);
    });

    // Your own id of the call: asking again with the same one rings nobody twice.
    $callbackid = uniqid('php-', true);
    ask('biz_callback',
        ['username' => USERNAME, 'callbackid' => $callbackid, 'callback_num' => A, 'destination_num' => B],
        ['returnurl' => RETURNURL, 'data' => 'from PHP']);
    echo "asked: $callbackid\n";

    $deadline = time() + PATIENCE_S;
    while (!is_file(kept($callbackid))) {
        if (time() > $deadline) {
            stop('no result came: can the switch reach MERCHANT_RETURNURL?');
        }
        usleep(100000);
        clearstatcache();
    }
    $result = json_decode(file_get_contents(kept($callbackid)), true);
    unlink(kept($callbackid));
    echo "result: {$result['callback_result']}, "
        . "A {$result['callback_duration']} s for {$result['callback_fee']}, "
        . "B {$result['destination_duration']} s for {$result['destination_fee']}\n";

    $record = ask('biz_query', ['username' => USERNAME, 'callbackid' => $callbackid]);
    $recording = $record['recording'] ?? 'none';
    echo "record: {$record['state']}, {$record['callback_result']}, recording $recording\n";
    $balance = ask('biz_balance', ['username' => USERNAME]);
    echo "balance: {$balance['balance']}\n";
}

PHP_SAPI === 'cli' ? main() : receive();
