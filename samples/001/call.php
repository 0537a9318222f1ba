<?php
// System 001: asks for a two-way call, takes its states and its record, and looks the record up.
//
//     MERCHANT_SID=... MERCHANT_TOKEN=... MERCHANT_APPID=... MERCHANT_SRC=13800138000 MERCHANT_DST=13900139000 \
//     php call.php
//
// The app's callback address at the switch has to lead to MERCHANT_LISTEN of this machine.
// PHP 7.4 or later with curl. Exit status 0: the record came, and the switch says the same when asked.
// On the command line it asks, and has PHP's own web server run this file to take what is pushed.
// Under a web server it takes pushes: point the app's callback address at it.

define('TANDEM', getenv('MERCHANT_URL') ?: 'http://127.0.0.1:8080');
define('SID', getenv('MERCHANT_SID') ?: 'your-account-sid');
define('TOKEN', getenv('MERCHANT_TOKEN') ?: 'your-auth-token');
define('APPID', getenv('MERCHANT_APPID') ?: 'your-appid');
// Who is rung first, and who then.
define('SRC', getenv('MERCHANT_SRC') ?: '13800138000');
define('DST', getenv('MERCHANT_DST') ?: '13900139000');
define('LISTEN', getenv('MERCHANT_LISTEN') ?: '0.0.0.0:8000');
const PATIENCE_S = 600;

/** Ends the program with the reason. */
function stop(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

/** One signed request; the answer. */
function ask(string $function, array $body): array
{
    // Beijing time, and one instant for both: header and Sign have to agree.
    $timestamp = gmdate('YmdHis', time() + 8 * 3600);
    $sign = strtoupper(md5(SID . TOKEN . $timestamp));
    $curl = curl_init(TANDEM . '/201512/sid/' . SID . "/$function?Sign=$sign");
    curl_setopt_array($curl, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 15,
        CURLOPT_POSTFIELDS => json_encode(['appid' => APPID] + $body),
        CURLOPT_HTTPHEADER => [
            'Authorization: ' . base64_encode(SID . '|' . $timestamp),
            'Content-Type: application/json;charset=utf-8',
        ],
    ]);
    $text = curl_exec($curl);
    if ($text === false) {
        stop('not reached: ' . curl_error($curl));
    }
    $answer = json_decode($text, true);
    // Lists of records and balances come without a statusCode.
    if (!is_array($answer) || ($answer['statusCode'] ?? '0') !== '0') {
        stop(is_array($answer) ? "refused: {$answer['statusCode']} {$answer['statusMsg']}" : "refused: $text");
    }
    return $answer;
}

/** Where a record is kept until somebody asks for it: a database, in a shop of your own. */
function kept(string $call): string
{
    return sys_get_temp_dir() . '/tandem-001-' . md5($call) . '.json';
}

/** Where states and records arrive, each as a POST. 2xx: taken. 500: send it again later. */
function receive(): void
{
    $push = json_decode(file_get_contents('php://input'), true);
    $cdr = $push['cdr'][0] ?? null;
    if (is_string($cdr['requestid'] ?? null)) {
        // Written whole, then named: nobody reads half of it.
        $file = kept($cdr['requestid']);
        file_put_contents("$file.new", json_encode($cdr), LOCK_EX);
        rename("$file.new", $file);
    } elseif (isset($push['dsc'], $push['state'])) {
        file_put_contents('php://stderr', "state: {$push['dsc']} {$push['state']}\n");
    } else {
        http_response_code(500);
    }
}

function main(): void
{
    $nobody = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], STDERR];
    $server = proc_open([PHP_BINARY, '-q', '-S', LISTEN, __FILE__], $nobody, $pipes);
    register_shutdown_function(function () use ($server) {
        proc_terminate($server);
    });

    $answer = ask('call/DailbackCall.wx',
        ['action' => 'callDailBack', 'src' => SRC, 'dst' => DST, 'customParm' => 'from PHP']);
    $call = $answer['requestId'];
    echo "asked: $call\n";

    $deadline = time() + PATIENCE_S;
    while (!is_file(kept($call))) {
        if (time() > $deadline) {
            stop("no record came: can the switch reach the app's callback address?");
        }
        usleep(100000);
        clearstatcache();
    }
    $cdr = json_decode(file_get_contents(kept($call)), true);
    unlink(kept($call));
    echo "record: {$cdr['stateDesc']}, {$cdr['duration']} s for {$cdr['oriamount']}, {$cdr['tapesurl']}\n";

    // A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
    $found = ask('call/CallCdr.wx',
        ['action' => 'getCdrByResId', 'fid' => '4', 'lastresid' => $call, 'limit' => 0])['cdr'];
    foreach (['requestid', 'appid', 'caller', 'called', 'duration', 'oriamount'] as $name) {
        // Pushed as text, told as numbers: 0.10 is 0.1.
        if (!isset($found[0][$name]) || $found[0][$name] != $cdr[$name]) {
            stop("the pushed record is not what the switch has: $name");
        }
    }
    echo "checked: the switch has the same record\n";
    $balance = ask('account/getBlance.wx', ['action' => 'queryBlance']);
    echo "balance: {$balance['Blance']}\n";
}

PHP_SAPI === 'cli' ? main() : receive();
