<?php
function save_regcode()
{
        $inputArr=explode('*',$_GET['call']);
        if (is_null($_GET["mobile"]) || is_null($_GET["sessionid"]) || is_null($_GET["call"]))
     {
        echo 'http://www.mySite.com[end]';
        return;
     }
        elseif ($_GET['call']=="*6655*123") {
        echo "لطفا کد ثبت نام خود را وارد نمایید";
     }
        elseif (($inputArr[0]=="6655")&&($inputArr[1]=="123")) {
        $regCode=$inputArr[2];
        echo "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
     }

}
