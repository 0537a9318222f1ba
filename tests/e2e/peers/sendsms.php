<?php
// A merchant's program made by PHP's SoapClient from the description: a short message by SOAP 1.1 and one by 1.2.
[, $at, $mobile] = $argv;
$asked = ["UserName" => "u", "Password" => "p", "LineNo" => "0", "MobileNumber" => $mobile];
foreach ([SOAP_1_1 => "کد شما ۱۲۳۴ (1.1)", SOAP_1_2 => "کد شما ۱۲۳۴ (1.2)"] as $version => $text) {
    // The description names where the world finds the service; here it is somewhere else.
    $client = new SoapClient("$at?WSDL", ["cache_wsdl" => WSDL_CACHE_NONE, "soap_version" => $version, "location" => $at]);
    echo $client->SendSingleSMS($asked + ["Message" => $text])->SendSingleSMSResult, "\n";
}
